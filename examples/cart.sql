-- A SHOPPING CART THAT EXPIRES
--
-- A reminder calls a method later, without any client.  It is a row that
-- commits or rolls back with the transaction that has set it.  A background
-- worker of the server fires it.

\set ON_ERROR_STOP on
\set SHOW_CONTEXT never
\pset footer off

\o /dev/null
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS cart CASCADE;
SELECT actor_unregister(actor_type, force => true) FROM actor.type WHERE actor_type = 'cart';
RESET client_min_messages;
\o

CREATE SCHEMA cart;

-- Every item that is put in sets the reminder "expire" anew, to three seconds
-- from then.  A reminder calls the method of its name unless told otherwise.

CREATE FUNCTION cart.add(item text, quantity int DEFAULT 1) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    items jsonb := actor_get('items', '{}'::jsonb);
BEGIN
    items := items || jsonb_build_object(item, coalesce((items -> item)::int, 0) + quantity);
    PERFORM actor_set('items', items);
    PERFORM actor_set_reminder(actor_type(), actor_id(), 'expire', due_time => '3s');
    RETURN items;
END $$;

-- The method that the reminder calls: it empties the cart, and writes down which
-- process it ran in and why.

CREATE FUNCTION cart.expire() RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM actor_remove('items');
    PERFORM actor_set('expired_by', (SELECT backend_type FROM pg_stat_activity
                                     WHERE pid = pg_backend_pid()));
    PERFORM actor_set('cause', actor_cause());
END $$;

-- A cart that is paid for does not expire.

CREATE FUNCTION cart.check_out() RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    items jsonb := actor_get('items', '{}'::jsonb);
BEGIN
    PERFORM actor_remove('items');
    PERFORM actor_delete_reminder(actor_type(), actor_id(), 'expire');
    RETURN items;
END $$;

CREATE FUNCTION cart.show() RETURNS jsonb
LANGUAGE sql STABLE AS $$ SELECT actor_state() $$;

SELECT actor_register('cart');

-- Anna and ben fill their carts.  Only ben pays.

SELECT actor_invoke('cart', 'anna', 'add', '{"item": "tea"}');
SELECT actor_invoke('cart', 'anna', 'add', '{"item": "cup", "quantity": 2}');
SELECT actor_invoke('cart', 'ben', 'add', '{"item": "jam"}');
SELECT actor_invoke('cart', 'ben', 'check_out');

-- One reminder is left.

SELECT actor_id, name, due_time, scheduled_at - now() AS due_in
FROM actor.reminder WHERE actor_type = 'cart';

-- Now anna goes away.  This session only reads her cart, ten times a second,
-- until it is empty.

DO $$
DECLARE
    cart jsonb;
BEGIN
    FOR tenth IN 0..300 LOOP
        cart := actor_invoke('cart', 'anna', 'show');
        IF NOT cart ? 'items' THEN
            RAISE NOTICE 'the cart is empty';
            RETURN;
        END IF;
        IF tenth % 10 = 0 THEN
            RAISE NOTICE 'in the cart: %', cart -> 'items';
        END IF;
        PERFORM pg_sleep(0.1);
    END LOOP;
    RAISE 'the reminder was not fired within 30 seconds'
        USING HINT = 'Is the library in shared_preload_libraries, and actor.enabled on?';
END $$;

-- It was the server itself that has emptied it.

SELECT jsonb_pretty(actor_invoke('cart', 'anna', 'show')) AS cart_of_anna;

-- The reminder has done its work and is gone.

SELECT count(*) AS reminders FROM actor.reminder WHERE actor_type = 'cart';
