SELECT rival.descend(:levels);
