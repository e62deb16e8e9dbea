--
-- A table that has a trigger is not read directly, but by SQL.  The tests of
-- state and activation run both ways.
--
CREATE FUNCTION no_trigger() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE TRIGGER by_sql AFTER TRUNCATE ON actor.state EXECUTE FUNCTION no_trigger();
CREATE TRIGGER by_sql AFTER TRUNCATE ON actor.activation EXECUTE FUNCTION no_trigger();
