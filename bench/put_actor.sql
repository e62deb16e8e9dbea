\set id random(1, :actors)
\set value random(1, 1000000)
SELECT actor_invoke('bench', :id, 'put', jsonb_build_object('value', :value::bigint));
