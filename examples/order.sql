-- AN ORDER WORKFLOW
--
-- An order coordinates a stock and a payment, which call it back while it waits
-- for them.  Its type allows that with reentrancy.

\set ON_ERROR_STOP on
\set SHOW_CONTEXT never
\pset footer off

\o /dev/null
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS purchase CASCADE;
DROP SCHEMA IF EXISTS warehouse CASCADE;
DROP SCHEMA IF EXISTS payment CASCADE;
SELECT actor_unregister(actor_type, force => true) FROM actor.type WHERE actor_type IN ('purchase', 'warehouse', 'payment');
RESET client_min_messages;
\o

CREATE SCHEMA purchase;
CREATE SCHEMA warehouse;
CREATE SCHEMA payment;

-- The coordinator: it calls its workers one after the other.

CREATE FUNCTION purchase.place(article text, quantity int, price numeric, payer text)
RETURNS jsonb
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM actor_set('status', 'being placed');
    PERFORM actor_invoke('warehouse', article, 'reserve',
                         jsonb_build_object('quantity', quantity, 'purchase', actor_id()));
    PERFORM actor_invoke('payment', payer, 'charge',
                         jsonb_build_object('amount', quantity * price, 'purchase', actor_id()));
    PERFORM actor_set('status', 'placed');
    RETURN actor_state();
END $$;

-- What the workers call back: a line of the history.  It sees what the running
-- method of the same actor has done so far.

CREATE FUNCTION purchase.note(line text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM actor_set('history', actor_get('history', '[]'::jsonb)
                                 || jsonb_build_array(line || ' while ' || actor_get('status', '')));
END $$;

CREATE FUNCTION warehouse.stock_up(quantity int) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM actor_set('stock', actor_get('stock', 0) + quantity);
END $$;

CREATE FUNCTION warehouse.reserve(quantity int, purchase text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    stock int := actor_get('stock', 0) - quantity;
BEGIN
    IF stock < 0 THEN
        RAISE EXCEPTION '% of % are missing', -stock, actor_id()
            USING ERRCODE = 'check_violation';
    END IF;
    PERFORM actor_set('stock', stock);
    PERFORM actor_invoke('purchase', purchase, 'note',
                         jsonb_build_object('line', quantity || ' ' || actor_id() || ' reserved'));
END $$;

CREATE FUNCTION payment.charge(amount numeric, purchase text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM actor_set('charged', actor_get('charged', 0::numeric) + amount);
    PERFORM actor_invoke('purchase', purchase, 'note',
                         jsonb_build_object('line', amount || ' charged'));
END $$;

SELECT actor_register('warehouse'), actor_register('payment');

-- Only the coordinator is entered again.  A chain of calls that runs in circles
-- ends when one actor is on the stack for the fifth time.

SELECT actor_register('purchase', reentrancy => true, max_stack_depth => 4);

SELECT actor_invoke('warehouse', 'tea', 'stock_up', '[10]');

SELECT jsonb_pretty(actor_invoke('purchase', 'order 1', 'place',
    '{"article": "tea", "quantity": 8, "price": 2.5, "payer": "anna"}')) AS order_1;

-- A second order finds too little tea.  It fails as a whole: no actor keeps
-- anything of it.

\set ON_ERROR_STOP off
SELECT actor_invoke('purchase', 'order 2', 'place',
    '{"article": "tea", "quantity": 8, "price": 2.5, "payer": "ben"}');
\set ON_ERROR_STOP on
\echo 'SQLSTATE:' :LAST_ERROR_SQLSTATE

SELECT actor_type, actor_id, key, value FROM actor.state
WHERE actor_type IN ('purchase', 'warehouse', 'payment') AND key <> 'history'
ORDER BY actor_type, actor_id, key;
