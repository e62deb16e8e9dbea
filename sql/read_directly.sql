--
-- After read_by_sql: directly again
--
DROP TRIGGER by_sql ON actor.state;
DROP FUNCTION no_trigger();
