"""The operations this server has: routes, the CapabilityStatement and the OperationDefinitions follow this table."""

from server.interaction.operation import Operation
from server.operations.convert_data import CONVERT_DATA
from server.operations.document import DOCUMENT
from server.operations.everything import ENCOUNTER_EVERYTHING, GROUP_EVERYTHING, PATIENT_EVERYTHING
from server.operations.expunge import EXPUNGE
from server.operations.meta import META
from server.operations.meta_change import META_ADD, META_DELETE
from server.operations.validate import VALIDATE

OPERATIONS: tuple[Operation, ...] = (
    CONVERT_DATA,
    DOCUMENT,
    ENCOUNTER_EVERYTHING,
    GROUP_EVERYTHING,
    PATIENT_EVERYTHING,
    EXPUNGE,
    META,
    META_ADD,
    META_DELETE,
    VALIDATE,
)
