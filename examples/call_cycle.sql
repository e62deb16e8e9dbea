-- A CALL CYCLE
--
-- An actor that calls a second one, which calls the first one back, would see
-- its own work half done.  Such a call is refused at once, not after a timeout.

\set ON_ERROR_STOP on
\set SHOW_CONTEXT never
\pset footer off

\o /dev/null
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS desk CASCADE;
SELECT actor_unregister(actor_type, force => true) FROM actor.type WHERE actor_type = 'desk';
RESET client_min_messages;
\o

-- Desks sign papers.  Before a desk signs, it has the paper checked by another
-- desk.

CREATE SCHEMA desk;

CREATE FUNCTION desk.sign(paper text, checked_by text) RETURNS text
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM actor_set('in_hand', paper);
    PERFORM actor_invoke('desk', checked_by, 'check_paper',
                         jsonb_build_object('paper', paper, 'owner', actor_id()));
    PERFORM actor_remove('in_hand');
    RETURN paper || ' signed by ' || actor_id();
END $$;

-- The mistake: whoever checks a paper asks its owner about it, while the
-- owner waits for the check.

CREATE FUNCTION desk.check_paper(paper text, owner text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM actor_invoke('desk', owner, 'explain', jsonb_build_object('paper', paper));
    PERFORM actor_set('last_checked', paper);
END $$;

CREATE FUNCTION desk.explain(paper text) RETURNS text
LANGUAGE sql STABLE AS $$ SELECT paper || ', in hand: ' || actor_get('in_hand', 'nothing') $$;

SELECT actor_register('desk');

-- The error shows the whole chain of calls.

\set ON_ERROR_STOP off
SELECT actor_invoke('desk', 'rosa', 'sign', '{"paper": "lease", "checked_by": "carl"}');
\set ON_ERROR_STOP on
\echo 'SQLSTATE:' :LAST_ERROR_SQLSTATE

-- Nothing has remained of it.

SELECT count(*) AS rows_of_state FROM actor.state WHERE actor_type = 'desk';

-- A type whose methods are ready for that allows it.  Registering a type again
-- replaces its options; its actors stay.

SELECT actor_register('desk', reentrancy => true);

SELECT actor_invoke('desk', 'rosa', 'sign', '{"paper": "lease", "checked_by": "carl"}');
