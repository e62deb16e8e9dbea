\set id random(1, 1000000000)
SELECT actor_set_reminder('bench', :id, 'noop', '24h');
