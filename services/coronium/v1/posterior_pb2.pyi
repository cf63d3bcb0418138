import datetime

from coronium.v1 import spectrum_pb2 as _spectrum_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ResultKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RESULT_KIND_UNSPECIFIED: _ClassVar[ResultKind]
    RESULT_KIND_SINGLE: _ClassVar[ResultKind]
    RESULT_KIND_JOINT: _ClassVar[ResultKind]

class Rung(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RUNG_UNSPECIFIED: _ClassVar[Rung]
    RUNG_NETWORK: _ClassVar[Rung]
    RUNG_MODE: _ClassVar[Rung]
    RUNG_NUTS: _ClassVar[Rung]
    RUNG_IMPORTANCE: _ClassVar[Rung]

class Constraint(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CONSTRAINT_UNSPECIFIED: _ClassVar[Constraint]
    CONSTRAINT_MEASURED: _ClassVar[Constraint]
    CONSTRAINT_UPPER_LIMIT: _ClassVar[Constraint]
    CONSTRAINT_LOWER_LIMIT: _ClassVar[Constraint]
    CONSTRAINT_UNCONSTRAINED: _ClassVar[Constraint]

class Flag(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FLAG_UNSPECIFIED: _ClassVar[Flag]
    FLAG_OUT_OF_RANGE: _ClassVar[Flag]
    FLAG_POORLY_FITTED: _ClassVar[Flag]
    FLAG_DENSITY_UNCONSTRAINED: _ClassVar[Flag]
    FLAG_TEMPERATURE_UNCONSTRAINED: _ClassVar[Flag]
    FLAG_NOT_CONVERGED: _ClassVar[Flag]
    FLAG_EVIDENCE_UNRELIABLE: _ClassVar[Flag]
    FLAG_MULTIMODAL: _ClassVar[Flag]
    FLAG_TRIAGE: _ClassVar[Flag]
    FLAG_NO_NETWORK: _ClassVar[Flag]
    FLAG_NO_SIGNAL: _ClassVar[Flag]
RESULT_KIND_UNSPECIFIED: ResultKind
RESULT_KIND_SINGLE: ResultKind
RESULT_KIND_JOINT: ResultKind
RUNG_UNSPECIFIED: Rung
RUNG_NETWORK: Rung
RUNG_MODE: Rung
RUNG_NUTS: Rung
RUNG_IMPORTANCE: Rung
CONSTRAINT_UNSPECIFIED: Constraint
CONSTRAINT_MEASURED: Constraint
CONSTRAINT_UPPER_LIMIT: Constraint
CONSTRAINT_LOWER_LIMIT: Constraint
CONSTRAINT_UNCONSTRAINED: Constraint
FLAG_UNSPECIFIED: Flag
FLAG_OUT_OF_RANGE: Flag
FLAG_POORLY_FITTED: Flag
FLAG_DENSITY_UNCONSTRAINED: Flag
FLAG_TEMPERATURE_UNCONSTRAINED: Flag
FLAG_NOT_CONVERGED: Flag
FLAG_EVIDENCE_UNRELIABLE: Flag
FLAG_MULTIMODAL: Flag
FLAG_TRIAGE: Flag
FLAG_NO_NETWORK: Flag
FLAG_NO_SIGNAL: Flag

class ParameterSummary(_message.Message):
    __slots__ = ("name", "unit", "median", "mean", "standard_deviation", "lower68", "upper68", "lower95", "upper95", "constraint", "limit95", "prior_dominated", "r_hat", "effective_sample_size")
    NAME_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    MEDIAN_FIELD_NUMBER: _ClassVar[int]
    MEAN_FIELD_NUMBER: _ClassVar[int]
    STANDARD_DEVIATION_FIELD_NUMBER: _ClassVar[int]
    LOWER68_FIELD_NUMBER: _ClassVar[int]
    UPPER68_FIELD_NUMBER: _ClassVar[int]
    LOWER95_FIELD_NUMBER: _ClassVar[int]
    UPPER95_FIELD_NUMBER: _ClassVar[int]
    CONSTRAINT_FIELD_NUMBER: _ClassVar[int]
    LIMIT95_FIELD_NUMBER: _ClassVar[int]
    PRIOR_DOMINATED_FIELD_NUMBER: _ClassVar[int]
    R_HAT_FIELD_NUMBER: _ClassVar[int]
    EFFECTIVE_SAMPLE_SIZE_FIELD_NUMBER: _ClassVar[int]
    name: str
    unit: str
    median: float
    mean: float
    standard_deviation: float
    lower68: float
    upper68: float
    lower95: float
    upper95: float
    constraint: Constraint
    limit95: float
    prior_dominated: bool
    r_hat: float
    effective_sample_size: float
    def __init__(self, name: _Optional[str] = ..., unit: _Optional[str] = ..., median: _Optional[float] = ..., mean: _Optional[float] = ..., standard_deviation: _Optional[float] = ..., lower68: _Optional[float] = ..., upper68: _Optional[float] = ..., lower95: _Optional[float] = ..., upper95: _Optional[float] = ..., constraint: _Optional[_Union[Constraint, str]] = ..., limit95: _Optional[float] = ..., prior_dominated: _Optional[bool] = ..., r_hat: _Optional[float] = ..., effective_sample_size: _Optional[float] = ...) -> None: ...

class IdentifiedLine(_message.Message):
    __slots__ = ("label", "wavelength", "probability", "flux", "flux_error", "predicted_signal_to_noise", "identified", "theoretical")
    LABEL_FIELD_NUMBER: _ClassVar[int]
    WAVELENGTH_FIELD_NUMBER: _ClassVar[int]
    PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    FLUX_FIELD_NUMBER: _ClassVar[int]
    FLUX_ERROR_FIELD_NUMBER: _ClassVar[int]
    PREDICTED_SIGNAL_TO_NOISE_FIELD_NUMBER: _ClassVar[int]
    IDENTIFIED_FIELD_NUMBER: _ClassVar[int]
    THEORETICAL_FIELD_NUMBER: _ClassVar[int]
    label: str
    wavelength: float
    probability: float
    flux: float
    flux_error: float
    predicted_signal_to_noise: float
    identified: bool
    theoretical: bool
    def __init__(self, label: _Optional[str] = ..., wavelength: _Optional[float] = ..., probability: _Optional[float] = ..., flux: _Optional[float] = ..., flux_error: _Optional[float] = ..., predicted_signal_to_noise: _Optional[float] = ..., identified: _Optional[bool] = ..., theoretical: _Optional[bool] = ...) -> None: ...

class Draws(_message.Message):
    __slots__ = ("names", "values")
    NAMES_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    names: _containers.RepeatedScalarFieldContainer[str]
    values: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, names: _Optional[_Iterable[str]] = ..., values: _Optional[_Iterable[float]] = ...) -> None: ...

class PredictiveChannel(_message.Message):
    __slots__ = ("name", "wavelength", "lower", "median", "upper", "rebinned")
    NAME_FIELD_NUMBER: _ClassVar[int]
    WAVELENGTH_FIELD_NUMBER: _ClassVar[int]
    LOWER_FIELD_NUMBER: _ClassVar[int]
    MEDIAN_FIELD_NUMBER: _ClassVar[int]
    UPPER_FIELD_NUMBER: _ClassVar[int]
    REBINNED_FIELD_NUMBER: _ClassVar[int]
    name: str
    wavelength: _containers.RepeatedScalarFieldContainer[float]
    lower: _containers.RepeatedScalarFieldContainer[float]
    median: _containers.RepeatedScalarFieldContainer[float]
    upper: _containers.RepeatedScalarFieldContainer[float]
    rebinned: int
    def __init__(self, name: _Optional[str] = ..., wavelength: _Optional[_Iterable[float]] = ..., lower: _Optional[_Iterable[float]] = ..., median: _Optional[_Iterable[float]] = ..., upper: _Optional[_Iterable[float]] = ..., rebinned: _Optional[int] = ...) -> None: ...

class Diagnostics(_message.Message):
    __slots__ = ("max_r_hat", "min_effective_sample_size", "divergences", "pareto_k_hat", "log_evidence", "log_evidence_error", "statistic", "expected_statistic", "statistic_deviation", "goodness_of_fit", "fit_seconds", "network_seconds", "modes", "mean_leapfrog_steps")
    MAX_R_HAT_FIELD_NUMBER: _ClassVar[int]
    MIN_EFFECTIVE_SAMPLE_SIZE_FIELD_NUMBER: _ClassVar[int]
    DIVERGENCES_FIELD_NUMBER: _ClassVar[int]
    PARETO_K_HAT_FIELD_NUMBER: _ClassVar[int]
    LOG_EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    LOG_EVIDENCE_ERROR_FIELD_NUMBER: _ClassVar[int]
    STATISTIC_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_STATISTIC_FIELD_NUMBER: _ClassVar[int]
    STATISTIC_DEVIATION_FIELD_NUMBER: _ClassVar[int]
    GOODNESS_OF_FIT_FIELD_NUMBER: _ClassVar[int]
    FIT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    NETWORK_SECONDS_FIELD_NUMBER: _ClassVar[int]
    MODES_FIELD_NUMBER: _ClassVar[int]
    MEAN_LEAPFROG_STEPS_FIELD_NUMBER: _ClassVar[int]
    max_r_hat: float
    min_effective_sample_size: float
    divergences: int
    pareto_k_hat: float
    log_evidence: float
    log_evidence_error: float
    statistic: float
    expected_statistic: float
    statistic_deviation: float
    goodness_of_fit: float
    fit_seconds: float
    network_seconds: float
    modes: int
    mean_leapfrog_steps: float
    def __init__(self, max_r_hat: _Optional[float] = ..., min_effective_sample_size: _Optional[float] = ..., divergences: _Optional[int] = ..., pareto_k_hat: _Optional[float] = ..., log_evidence: _Optional[float] = ..., log_evidence_error: _Optional[float] = ..., statistic: _Optional[float] = ..., expected_statistic: _Optional[float] = ..., statistic_deviation: _Optional[float] = ..., goodness_of_fit: _Optional[float] = ..., fit_seconds: _Optional[float] = ..., network_seconds: _Optional[float] = ..., modes: _Optional[int] = ..., mean_leapfrog_steps: _Optional[float] = ...) -> None: ...

class ModelVersions(_message.Message):
    __slots__ = ("software", "emissivity_table", "network", "instrument", "priors")
    SOFTWARE_FIELD_NUMBER: _ClassVar[int]
    EMISSIVITY_TABLE_FIELD_NUMBER: _ClassVar[int]
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    PRIORS_FIELD_NUMBER: _ClassVar[int]
    software: str
    emissivity_table: str
    network: str
    instrument: str
    priors: str
    def __init__(self, software: _Optional[str] = ..., emissivity_table: _Optional[str] = ..., network: _Optional[str] = ..., instrument: _Optional[str] = ..., priors: _Optional[str] = ...) -> None: ...

class Posterior(_message.Message):
    __slots__ = ("result_id", "kind", "target", "fingerprints", "instrument", "source", "name", "observed_at", "received_at", "fitted_at", "plasma_model", "rung", "parameters", "lines", "draws", "predictive", "diagnostics", "versions", "flags", "annotations")
    class AnnotationsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    RESULT_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINTS_FIELD_NUMBER: _ClassVar[int]
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    OBSERVED_AT_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_AT_FIELD_NUMBER: _ClassVar[int]
    FITTED_AT_FIELD_NUMBER: _ClassVar[int]
    PLASMA_MODEL_FIELD_NUMBER: _ClassVar[int]
    RUNG_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    DRAWS_FIELD_NUMBER: _ClassVar[int]
    PREDICTIVE_FIELD_NUMBER: _ClassVar[int]
    DIAGNOSTICS_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    FLAGS_FIELD_NUMBER: _ClassVar[int]
    ANNOTATIONS_FIELD_NUMBER: _ClassVar[int]
    result_id: str
    kind: ResultKind
    target: str
    fingerprints: _containers.RepeatedScalarFieldContainer[str]
    instrument: str
    source: _spectrum_pb2.SourceKind
    name: str
    observed_at: _timestamp_pb2.Timestamp
    received_at: _timestamp_pb2.Timestamp
    fitted_at: _timestamp_pb2.Timestamp
    plasma_model: _spectrum_pb2.PlasmaModel
    rung: Rung
    parameters: _containers.RepeatedCompositeFieldContainer[ParameterSummary]
    lines: _containers.RepeatedCompositeFieldContainer[IdentifiedLine]
    draws: Draws
    predictive: _containers.RepeatedCompositeFieldContainer[PredictiveChannel]
    diagnostics: Diagnostics
    versions: ModelVersions
    flags: _containers.RepeatedScalarFieldContainer[Flag]
    annotations: _containers.ScalarMap[str, str]
    def __init__(self, result_id: _Optional[str] = ..., kind: _Optional[_Union[ResultKind, str]] = ..., target: _Optional[str] = ..., fingerprints: _Optional[_Iterable[str]] = ..., instrument: _Optional[str] = ..., source: _Optional[_Union[_spectrum_pb2.SourceKind, str]] = ..., name: _Optional[str] = ..., observed_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., received_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., fitted_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., plasma_model: _Optional[_Union[_spectrum_pb2.PlasmaModel, str]] = ..., rung: _Optional[_Union[Rung, str]] = ..., parameters: _Optional[_Iterable[_Union[ParameterSummary, _Mapping]]] = ..., lines: _Optional[_Iterable[_Union[IdentifiedLine, _Mapping]]] = ..., draws: _Optional[_Union[Draws, _Mapping]] = ..., predictive: _Optional[_Iterable[_Union[PredictiveChannel, _Mapping]]] = ..., diagnostics: _Optional[_Union[Diagnostics, _Mapping]] = ..., versions: _Optional[_Union[ModelVersions, _Mapping]] = ..., flags: _Optional[_Iterable[_Union[Flag, str]]] = ..., annotations: _Optional[_Mapping[str, str]] = ...) -> None: ...
