"""How cell regions are fused: groups of cells, what a plan costs, the search for a plan, and building it."""
