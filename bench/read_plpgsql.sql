\set id random(1, :actors)
SELECT rival.get(:id);
