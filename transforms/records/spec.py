"""Record specs: the public names on one page.

spec = load_spec(text, "profiles.yaml")          # or pipeline.specs.read_spec("profiles")
record = spec.with_origin(record, Origin(document.id, parameters))       # for specs that ask for $id or $path.NAME
key = spec.key_of(record, fallback_id=None)      # RecordError: MISSING_ID, INVALID_ID
flat = spec.flatten(record, key, tally)          # RecordError: MISSING_FIELD, OUT_OF_RANGE, NOT_IN_ENUM, …
tally.counts()                                   # per field: records with a value, and with one that cannot be placed
"""

from transforms.records.cleaners import FieldType as FieldType
from transforms.records.fields import Field as Field
from transforms.records.fields import Source as Source
from transforms.records.load import load_spec as load_spec
from transforms.records.model import BigQueryOptions as BigQueryOptions
from transforms.records.model import IndexField as IndexField
from transforms.records.model import Key as Key
from transforms.records.model import RecordSpec as RecordSpec
from transforms.records.origins import Origin as Origin
from transforms.records.tally import FieldTally as FieldTally
