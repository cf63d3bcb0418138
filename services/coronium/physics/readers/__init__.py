"""Real observations, read into `Spectrum`: counts, area x exposure and masks, never fluxes made of counts."""
