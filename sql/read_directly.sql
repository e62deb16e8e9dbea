--
-- After read_by_sql: directly again
--
DROP TRIGGER by_sql ON actor.state;
DROP TRIGGER by_sql ON actor.activation;
DROP TRIGGER by_sql ON actor.reminder;
DROP FUNCTION no_trigger();
