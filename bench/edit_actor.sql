\set note random(1, 1000000)
SELECT actor_invoke('bench', 'document', 'edit', jsonb_build_object('note', :note::text));
