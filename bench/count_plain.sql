\set id random(1, :actors)
UPDATE rival.plain SET n = n + 1 WHERE id = :id RETURNING n;
