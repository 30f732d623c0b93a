"""The operations this server has: routes, the CapabilityStatement and the OperationDefinitions follow this table."""

from server.interaction.operation import Operation
from server.operations.document import DOCUMENT
from server.operations.everything import ENCOUNTER_EVERYTHING, GROUP_EVERYTHING, PATIENT_EVERYTHING
from server.operations.meta import META

OPERATIONS: tuple[Operation, ...] = (
    META,
    DOCUMENT,
    PATIENT_EVERYTHING,
    ENCOUNTER_EVERYTHING,
    GROUP_EVERYTHING,
)
