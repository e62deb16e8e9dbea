--
-- Publishing and subscribing: rights, narrow and wide topics, events that are kept.
--
SET client_min_messages = warning;
SET TIME ZONE 'UTC';
\pset null '(null)'
SET SESSION AUTHORIZATION regress_actor_owner;
CREATE SCHEMA shop;
CREATE SCHEMA cart;
SELECT actor_register('shop');
SELECT actor_register('cart');
GRANT USAGE ON SCHEMA shop, cart TO regress_actor_granted;
CREATE TABLE cart.got (number bigint GENERATED ALWAYS AS IDENTITY, id text, method text, role name, payload jsonb);
GRANT SELECT, INSERT ON cart.got TO regress_actor_granted;
CREATE FUNCTION shop.price(item text, cents int) RETURNS bigint LANGUAGE sql
AS $$ SELECT actor_publish('price', jsonb_build_object('item', item, 'cents', cents)) $$;
CREATE FUNCTION shop.news(text text) RETURNS bigint LANGUAGE sql
AS $$ SELECT actor_publish('news', to_jsonb(text), 'shop') $$;
CREATE FUNCTION shop.publish_of(topic_type text, topic_id text) RETURNS bigint LANGUAGE sql
AS $$ SELECT actor_publish('price', '{}', topic_type, topic_id) $$;
CREATE FUNCTION shop.read_only() RETURNS bigint STABLE LANGUAGE plpgsql
AS $$ BEGIN RETURN actor_publish('price', '{}'); END $$;
CREATE FUNCTION shop.last() RETURNS bigint STABLE LANGUAGE sql
AS $$ SELECT max(event_id) FROM actor_events('price') $$;
CREATE FUNCTION cart.on_price(payload jsonb) RETURNS void LANGUAGE plpgsql
AS $$
BEGIN
    INSERT INTO cart.got (id, method, role, payload) VALUES (actor_id(), actor_method(), current_user, payload);
END
$$;
CREATE FUNCTION cart.on_news(payload jsonb) RETURNS void LANGUAGE plpgsql
AS $$
BEGIN
    INSERT INTO cart.got (id, method, role, payload) VALUES (actor_id(), actor_method(), current_user, payload);
END
$$;
CREATE FUNCTION cart.follow(shop text) RETURNS boolean LANGUAGE sql
AS $$ SELECT actor_subscribe('price', 'cart', actor_id(), 'on_price', 'shop', shop) $$;
CREATE FUNCTION cart.leave(shop text) RETURNS boolean LANGUAGE sql
AS $$ SELECT actor_unsubscribe('price', 'cart', actor_id(), 'shop', shop) $$;
CREATE FUNCTION cart._private(payload jsonb) RETURNS void LANGUAGE sql AS '';
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA shop, cart FROM PUBLIC;
GRANT EXECUTE ON FUNCTION cart.on_price(jsonb), cart.follow(text), cart.leave(text) TO regress_actor_granted;

--
-- Subscribing
--
SELECT actor_invoke('cart', 'a', 'follow', '["s"]');
SELECT actor_invoke('cart', 'a', 'follow', '["s"]');
SELECT actor_subscribe('price', 'cart', 'b', 'on_price', 'shop', 's', failure_policy => '{"drop": {}}');
SET SESSION AUTHORIZATION regress_actor_granted;
SELECT actor_subscribe('price', 'cart', 'c', 'on_price', 'shop', 's');
SELECT actor_type, actor_id, topic_type, topic_id, topic, method, failure_policy, role_name
  FROM actor.subscription ORDER BY actor_id;
-- another one's
SELECT state, message, detail FROM refusal($$SELECT actor_subscribe('price', 'cart', 'a', 'on_price', 'shop', 's')$$);
SELECT state, message FROM refusal($$SELECT actor_unsubscribe('price', 'cart', 'a', 'shop', 's')$$);
-- without EXECUTE, without a method, without a type
SELECT state, message FROM refusal($$SELECT actor_subscribe('news', 'cart', 'c', 'on_news', 'shop')$$);
SELECT state, message FROM refusal($$SELECT actor_subscribe('news', 'cart', 'c', 'on_nothing', 'shop')$$);
SELECT state, message FROM refusal($$SELECT actor_subscribe('news', 'cart', 'c', 'on_price', 'nothing')$$);
SELECT state, message FROM refusal($$SELECT actor_subscribe('news', 'nothing', 'c', 'on_price', 'shop')$$);
SET SESSION AUTHORIZATION regress_actor_stranger;
SELECT state, message FROM refusal($$SELECT actor_subscribe('price', 'cart', 'x', 'on_price', 'shop', 's')$$);
SELECT state, message FROM refusal($$SELECT actor_unsubscribe('price', 'cart', 'x', 'shop', 's')$$);
SELECT count(*) FROM actor.subscription;
SET SESSION AUTHORIZATION regress_actor_owner;
SELECT actor_id, role_name FROM actor.subscription ORDER BY actor_id;
-- arguments
SELECT state, message, detail FROM refusal($$SELECT actor_subscribe('price', 'cart', 'a', 'on_price')$$);
SELECT state, message, detail FROM refusal($$SELECT actor_subscribe('price', 'cart', 'a', 'on_price', NULL, 's')$$);
SELECT state, message FROM refusal($$SELECT actor_subscribe(NULL, 'cart', 'a', 'on_price', 'shop')$$);
SELECT state, message FROM refusal($$SELECT actor_subscribe('', 'cart', 'a', 'on_price', 'shop')$$);
SELECT state, message FROM refusal($$SELECT actor_subscribe('price', 'cart', 'a', 'on_price', 'shop', '')$$);
SELECT state, message FROM refusal($$SELECT actor_subscribe('price', 'cart', '', 'on_price', 'shop')$$);
SELECT state, message FROM refusal($$SELECT actor_subscribe('price', 'cart', 'a', NULL, 'shop')$$);
SELECT state, message FROM refusal($$SELECT actor_subscribe('price', 'cart', 'a', 'on_price', 'shop', failure_policy => '{"no": {}}')$$);
SELECT state, message FROM refusal($$SELECT actor_publish('price')$$);

--
-- Publishing: one message for each subscriber, as the role that has subscribed, in
-- order, if and only if the transaction commits
--
SELECT actor_subscribe('news', 'cart', 'a', 'on_news', 'shop');
SELECT actor_invoke('shop', 's', 'price', '{"item": "tea", "cents": 300}');
BEGIN;
SELECT actor_invoke('shop', 's', 'price', '{"item": "tea", "cents": 310}');
SAVEPOINT s;
SELECT actor_invoke('shop', 's', 'price', '{"item": "tea", "cents": 999}');
ROLLBACK TO s;
SELECT actor_invoke('shop', 's', 'price', '{"item": "tea", "cents": 320}');
COMMIT;
BEGIN;
SELECT actor_invoke('shop', 's', 'price', '{"item": "tea", "cents": 998}');
ROLLBACK;
-- nobody listens to this one
SELECT actor_invoke('shop', 'other', 'price', '{"item": "tea", "cents": 997}');
SELECT actor_invoke('shop', 's', 'news', '["open"]');
SELECT actor_publish('news', NULL, 'shop');
CALL wait_until($$SELECT count(*) = 11 FROM cart.got$$);
SELECT id, method, role, payload FROM cart.got ORDER BY id, number;
TRUNCATE cart.got;

-- who may publish
SELECT state, message FROM refusal($$SELECT actor_invoke('shop', 's', 'read_only')$$);
SELECT actor_invoke('shop', 's', 'publish_of', '["shop", "other"]');
SET SESSION AUTHORIZATION regress_actor_granted;
SELECT state, message, detail FROM refusal($$SELECT actor_publish('price', '{}', 'shop', 's')$$);
SELECT state, message FROM refusal($$SELECT actor_publish('price', '{}', 'shop')$$);
RESET SESSION AUTHORIZATION;
GRANT EXECUTE ON FUNCTION shop.publish_of(text, text), shop.price(text, int) TO regress_actor_granted;
SET SESSION AUTHORIZATION regress_actor_granted;
-- in a method topics of the actor, and of the type, but not those of other actors
SELECT state, message FROM refusal($$SELECT actor_invoke('shop', 's', 'publish_of', '["shop", "other"]')$$);
SELECT state, message FROM refusal($$SELECT actor_invoke('shop', 's', 'publish_of', '["cart", null]')$$);
SELECT actor_invoke('shop', 's', 'publish_of', '["shop", null]');
SELECT actor_invoke('shop', 'other', 'publish_of', '["shop", "other"]');
SET SESSION AUTHORIZATION regress_actor_stranger;
SELECT state, message FROM refusal($$SELECT actor_publish('price', '{}', 'shop', 's')$$);
SELECT state, message FROM refusal($$SELECT * FROM actor_events('price', 'shop', 's')$$);
SET SESSION AUTHORIZATION regress_actor_owner;

-- who may not use the schema any more gets nothing, and does again when he may
REVOKE USAGE ON SCHEMA shop FROM regress_actor_granted;
SELECT actor_invoke('shop', 's', 'price', '{"item": "tea", "cents": 330}');
CALL wait_until($$SELECT count(*) = 2 FROM cart.got$$);
GRANT USAGE ON SCHEMA shop TO regress_actor_granted;
SELECT actor_invoke('shop', 's', 'price', '{"item": "tea", "cents": 340}');
CALL wait_until($$SELECT count(*) = 5 FROM cart.got$$);
SELECT id, payload -> 'cents' AS cents FROM cart.got ORDER BY id, number;
TRUNCATE cart.got;

-- unsubscribing: what is a message already is delivered
SELECT actor_pause('cart');
SELECT actor_invoke('shop', 's', 'price', '{"item": "tea", "cents": 350}');
SELECT actor_unsubscribe('price', 'cart', 'b', 'shop', 's');
SELECT actor_unsubscribe('price', 'cart', 'b', 'shop', 's');
SELECT actor_unsubscribe('price', 'cart', 'c', 'shop', 's');
SELECT actor_resume('cart');
SELECT actor_invoke('cart', 'a', 'leave', '["s"]');
SELECT actor_invoke('shop', 's', 'price', '{"item": "tea", "cents": 360}');
CALL wait_until($$SELECT count(*) = 3 FROM cart.got$$);
SELECT id, payload -> 'cents' AS cents FROM cart.got ORDER BY id, number;
SELECT actor_id, topic FROM actor.subscription;
TRUNCATE cart.got;

--
-- Wide topics: the workers hand out, in order, also what is narrow by then
--
SELECT count(actor_subscribe('wide', 'cart', 'w' || i, 'on_price', 'shop', 's')) FROM generate_series(1, 1100) i;
SET actor.publish_limit = 100;
BEGIN;
SELECT actor_publish('wide', '1', 'shop', 's');
SELECT count(*) FROM actor.message WHERE actor_type = 'cart';
SELECT actor_id, topic, payload, done_to FROM actor.fan_out;
SET LOCAL actor.publish_limit = 100000;
-- behind the other one, though it could go at once; and not for who comes after it
SELECT actor_publish('wide', '2', 'shop', 's');
SELECT count(*) FROM actor.message WHERE actor_type = 'cart';
SELECT actor_subscribe('wide', 'cart', 'late', 'on_price', 'shop', 's');
SELECT actor_unsubscribe('wide', 'cart', 'w1', 'shop', 's');
SELECT actor_subscribe('wide', 'cart', 'w1', 'on_price', 'shop', 's');
SELECT actor_unsubscribe('wide', 'cart', 'w2', 'shop', 's');
SELECT actor_publish('wide', '3', 'shop', 's');
COMMIT;
CALL wait_until($$SELECT count(*) = 3296 FROM cart.got$$);
SELECT count(*) FROM actor.fan_out;
SELECT got, count(*) FROM (SELECT id, jsonb_agg(payload ORDER BY number) AS got FROM cart.got GROUP BY id) g GROUP BY got ORDER BY got;
SELECT id, jsonb_agg(payload ORDER BY number) AS got FROM cart.got WHERE id IN ('late', 'w1', 'w2', 'w3') GROUP BY id ORDER BY id;
-- rolled back
BEGIN;
SELECT actor_publish('wide', '4', 'shop', 's');
ROLLBACK;
SELECT count(*) FROM actor.fan_out;
-- nobody listens
SET actor.publish_limit = 0;
SELECT actor_publish('nobody', '1', 'shop', 's');
SELECT count(*) FROM actor.fan_out;
RESET actor.publish_limit;
TRUNCATE cart.got;

--
-- Events that are kept
--
SELECT actor_keep_events('shop', 'price', '1 hour');
SELECT actor_keep_events('shop', 'price', '2 hours');
SELECT * FROM actor.topic;
SELECT actor_invoke('shop', 's', 'price', jsonb_build_object('item', 'tea', 'cents', i)) FROM generate_series(1, 3) i;
BEGIN;
SELECT actor_invoke('shop', 's', 'price', '{"item": "tea", "cents": 999}');
ROLLBACK;
SELECT actor_invoke('shop', 's', 'price', '{"item": "tea", "cents": 4}');
SELECT actor_invoke('shop', 'other', 'price', '{"item": "tea", "cents": 1}');
SELECT actor_publish('price', NULL, 'shop');
SELECT event_id, payload FROM actor_events('price', 'shop', 's');
SELECT event_id, payload FROM actor_events('price', 'shop', 's', 2);
SELECT event_id, payload FROM actor_events('price', 'shop', 's', 1, max_rows => 2);
SELECT event_id, payload FROM actor_events('price', 'shop');
SELECT actor_invoke('shop', 's', 'last');
SELECT kept, last_event, length(notified) FROM actor.event_source('price', 'shop', 's');
SELECT kept, last_event, length(notified) FROM actor.event_source('price', 'shop', 'none');
SELECT kept, last_event FROM actor.event_source('news', 'shop');
SELECT count(DISTINCT notified) FROM (SELECT notified FROM actor.event_source('price', 'shop', 's')
  UNION ALL SELECT notified FROM actor.event_source('price', 'shop')
  UNION ALL SELECT notified FROM actor.event_source('news', 'shop', 's')) n;
SELECT actor_id, topic, last_event FROM actor.stream ORDER BY 1, 2;
SET SESSION AUTHORIZATION regress_actor_granted;
SELECT event_id FROM actor_events('price', 'shop', 's', 3);
SELECT count(*) FROM actor.event;
SELECT state, message FROM refusal($$SELECT actor_keep_events('shop', 'price', '1 hour')$$);
SET SESSION AUTHORIZATION regress_actor_owner;
SELECT state, message FROM refusal($$SELECT actor_keep_events('shop', 'price', '0')$$);
SELECT state, message FROM refusal($$SELECT actor_keep_events('nothing', 'price', '1 hour')$$);
SELECT state, message FROM refusal($$SELECT * FROM actor_events('price', 'shop', max_rows => 0)$$);
SELECT state, message FROM refusal($$SELECT * FROM actor_events('price', 'shop', max_rows => NULL)$$);
SELECT state, message FROM refusal($$SELECT * FROM actor_events('price', 'shop', after => NULL)$$);
-- those that are over are not shown, and removed later; numbers go on
RESET SESSION AUTHORIZATION;
UPDATE actor.event SET expires_at = now() - interval '1 second' WHERE event_id < 4;
SET SESSION AUTHORIZATION regress_actor_owner;
SELECT event_id FROM actor_events('price', 'shop', 's');
-- an actor that is deleted takes its events along, and those it has subscribed to
SELECT actor_subscribe('price', 'shop', 's', 'price', 'shop', 'other');
SELECT actor_delete('shop', 's');
SELECT event_id FROM actor_events('price', 'shop', 's');
SELECT count(*) FROM actor.subscription WHERE actor_type = 'shop';
SELECT actor_invoke('shop', 's', 'price', '{"item": "tea", "cents": 5}');
SELECT actor_keep_events('shop', 'price', NULL);
SELECT actor_invoke('shop', 's', 'price', '{"item": "tea", "cents": 6}');

--
-- With the types
--
SELECT actor_subscribe('price', 'cart', 'a', 'on_price', 'shop', 's');
SELECT actor_keep_events('shop', 'price', '1 hour');
SELECT actor_rename('shop', 'store');
SELECT actor_rename('cart', 'basket');
SELECT actor_type, actor_id, topic_type, topic_id, topic FROM actor.subscription WHERE topic = 'price';
SELECT event_id, payload FROM actor_events('price', 'store', 's');
SELECT actor_publish('price', '"renamed"', 'store', 's');
CALL wait_until($$SELECT count(*) = 1 FROM cart.got$$);
SELECT id, payload FROM cart.got;
BEGIN;
SET LOCAL actor.publish_limit = 0;
SELECT actor_publish('price', '1', 'store', 's');
SELECT actor_rename('store', 'mart');
SELECT actor_type, topic FROM actor.fan_out;
ROLLBACK;
SELECT state, message, detail FROM refusal($$SELECT actor_unregister('basket')$$);
SELECT state, message, detail FROM refusal($$SELECT actor_unregister('store')$$);
SELECT actor_unregister('store', true);
SELECT count(*) FROM actor.subscription;
SELECT (SELECT count(*) FROM actor.event), (SELECT count(*) FROM actor.stream), (SELECT count(*) FROM actor.topic);
SELECT actor_unregister('basket', true);
DROP SCHEMA shop, cart CASCADE;
RESET SESSION AUTHORIZATION;
