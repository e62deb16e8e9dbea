SELECT actor_invoke('bench', 'caller', 'nest', jsonb_build_object('calls', :calls::integer));
