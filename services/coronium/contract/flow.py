"""Which stage reads and which writes which topic: what the classes of the stages say, without loading any."""

from collections.abc import Mapping

from coronium.contract.topics import (
    DEAD_LETTERS,
    EPOCHS,
    FEATURES,
    OBSERVATIONS,
    POSTERIORS,
    SPECTRA,
    StageName,
    Topic,
)

SOURCES: Mapping[StageName, tuple[Topic, ...]] = {
    StageName.INGESTION: (SPECTRA,),
    StageName.EXTRACTION: (OBSERVATIONS,),
    StageName.FITTING: (FEATURES,),
    StageName.RESULTS: (POSTERIORS, OBSERVATIONS, *DEAD_LETTERS.values()),
}
"""What each stage consumes."""

PRODUCTS: Mapping[StageName, tuple[Topic, ...]] = {
    # What `Submit` takes goes the way of everything published.
    StageName.INGESTION: (OBSERVATIONS, SPECTRA),
    StageName.EXTRACTION: (FEATURES,),
    StageName.FITTING: (POSTERIORS, EPOCHS),
    StageName.RESULTS: (),
}
"""What each stage produces beside dead letters, attempts and control."""

MEMORY: Mapping[StageName, tuple[Topic, ...]] = {
    StageName.INGESTION: (),
    StageName.EXTRACTION: (),
    StageName.FITTING: (EPOCHS,),
    StageName.RESULTS: (),
}
"""Compacted topics that each stage reads for what it must know, without a group, beside attempts and control."""
