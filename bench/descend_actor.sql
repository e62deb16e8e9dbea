SELECT actor_invoke('bench', 'level 0', 'descend', jsonb_build_object('levels', :levels::integer));
