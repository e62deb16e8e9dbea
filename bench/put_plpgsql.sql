\set id random(1, :actors)
\set value random(1, 1000000)
SELECT rival.put(:id, :value);
