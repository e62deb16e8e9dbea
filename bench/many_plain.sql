\set base random(0, 9) * :turns
UPDATE rival.plain SET n = n + 1 WHERE id = ANY (ARRAY(SELECT (:base::integer + i)::text FROM generate_series(1, :turns) i));
