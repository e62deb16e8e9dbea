\set id random(1, :actors)
SELECT rival.count(:id, 1);
