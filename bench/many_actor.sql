\set base random(0, 9) * :turns
SELECT count(actor_invoke('bench', (:base::integer + i)::text, 'count', '{"step": 1}')) FROM generate_series(1, :turns) i;
