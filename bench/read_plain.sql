\set id random(1, :actors)
SELECT n FROM rival.plain WHERE id = :id;
