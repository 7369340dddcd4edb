"""What the steps of a run say that have no results of their own: tools that were asked, what could not be done."""
