\set id random(1, :actors)
\set value random(1, 1000000)
UPDATE rival.plain SET n = :value WHERE id = :id;
