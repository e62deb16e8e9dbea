SELECT rival.pass_on('level ' || :levels, jsonb_build_object('levels', :levels::integer));
