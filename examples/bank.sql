-- A BANK
--
-- Accounts are actors.  Money moves between two of them in one transaction.

\set ON_ERROR_STOP on
\set SHOW_CONTEXT never
\pset footer off

\o /dev/null
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS account CASCADE;
SELECT actor_unregister(actor_type, force => true) FROM actor.type WHERE actor_type = 'account';
RESET client_min_messages;
\o

-- An actor type is a schema of ordinary functions.  The functions are its
-- methods.

CREATE SCHEMA account;

-- A method reads and writes the state of the actor it is called on with
-- actor_get and actor_set.  Here the state is one key, the balance.

CREATE FUNCTION account.deposit(amount numeric) RETURNS numeric
LANGUAGE plpgsql AS $$
DECLARE
    balance numeric := actor_get('balance', 0::numeric) + amount;
BEGIN
    PERFORM actor_set('balance', balance);
    RETURN balance;
END $$;

CREATE FUNCTION account.withdraw(amount numeric) RETURNS numeric
LANGUAGE plpgsql AS $$
DECLARE
    balance numeric := actor_get('balance', 0::numeric) - amount;
BEGIN
    IF balance < 0 THEN
        RAISE EXCEPTION 'account % is % short', actor_id(), -balance
            USING ERRCODE = 'check_violation';
    END IF;
    PERFORM actor_set('balance', balance);
    RETURN balance;
END $$;

-- A method that only reads is declared STABLE.  Readers never wait.

CREATE FUNCTION account.balance() RETURNS numeric
LANGUAGE sql STABLE AS $$ SELECT actor_get('balance', 0::numeric) $$;

-- A method may call other actors.  This one pays in first and withdraws
-- then, so that an overdraft shows what happens to the deposit.

CREATE FUNCTION account.transfer(target text, amount numeric) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM actor_invoke('account', target, 'deposit', jsonb_build_object('amount', amount));
    PERFORM account.withdraw(amount);
END $$;

-- The schema becomes an actor type of the same name.

SELECT actor_register('account');

-- An actor is a type and an id.  Nothing has to create it: the first call does.
-- The members of the payload go to the parameters of the method by name.

SELECT actor_invoke('account', 'anna', 'deposit', '{"amount": 100}');
SELECT actor_invoke('account', 'ben', 'deposit', '{"amount": 50}');
SELECT actor_invoke('account', 'anna', 'balance');

-- The state of all actors is a table.  What do all accounts hold together?

SELECT actor_id, value AS balance, updated_at FROM actor.state
WHERE actor_type = 'account' AND key = 'balance' ORDER BY actor_id;

SELECT count(*) AS accounts, sum(value::numeric) AS total FROM actor.state
WHERE actor_type = 'account' AND key = 'balance';

-- A transfer: two actors, one transaction.

SELECT actor_invoke('account', 'anna', 'transfer', '{"target": "ben", "amount": 30}');

SELECT actor_id, value AS balance FROM actor.state
WHERE actor_type = 'account' AND key = 'balance' ORDER BY actor_id;

-- Anna cannot transfer more than she has.

\set ON_ERROR_STOP off
SELECT actor_invoke('account', 'anna', 'transfer', '{"target": "ben", "amount": 1000}');
\set ON_ERROR_STOP on
\echo 'SQLSTATE:' :LAST_ERROR_SQLSTATE

-- The deposit to ben had been made by then.  It was rolled back with the rest.

SELECT actor_id, value AS balance FROM actor.state
WHERE actor_type = 'account' AND key = 'balance' ORDER BY actor_id;
