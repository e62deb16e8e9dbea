\set id random(1, :actors)
SELECT actor_invoke('bench', :id, 'noop');
