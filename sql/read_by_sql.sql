--
-- A table that has a trigger is not read or written directly, but by SQL.  The
-- tests of state, activation and reminders run both ways.
--
CREATE FUNCTION no_trigger() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE TRIGGER by_sql AFTER TRUNCATE ON actor.state EXECUTE FUNCTION no_trigger();
CREATE TRIGGER by_sql AFTER TRUNCATE ON actor.activation EXECUTE FUNCTION no_trigger();
CREATE TRIGGER by_sql AFTER TRUNCATE ON actor.reminder EXECUTE FUNCTION no_trigger();
