SELECT rival.nest(:calls);
