"""The acknowledgement of a V3 message, its SOAP envelope, faults, and the WSDL that describes the service."""

from collections.abc import Sequence
from xml.sax.saxutils import escape, quoteattr

from lxml import etree

from adapters.contract import Problem
from adapters.kit import codes
from adapters.kit.transaction import sentence
from adapters.regional_soap.envelope import OPERATION, SOAP_11, SOAP_12, Envelope, elements, local

PACKAGE = "adapters.regional_soap"
V3 = "urn:hl7-org:v3"
_TEXT_MAX = 1000


def acknowledgement(envelope: Envelope, problems: Sequence[Problem], code: str, at: str, number: str) -> str:
    """The answer to a message that was read. `code`: AA stored; AE the message is at fault; AR send it again. `at` is
    yyyyMMddHHmmss, `number` the answer's own id. The ids of the message come back as they were written."""
    service = local(envelope.root)
    table = codes.table(PACKAGE, "services")
    accepted, _, refused = (table[service][3] if service in table else "MCCI_IN000002UV01/MCCI_IN000002UV01").partition(
        "/"
    )
    name = accepted if code == "AA" else refused
    said = [problem for problem in problems if problem.severity in ("fatal", "error")]
    text = "; ".join(sentence(problem) for problem in said)[:_TEXT_MAX] or ("处理成功" if code == "AA" else "refused")
    if name.endswith("Response"):
        return f'<{name} xmlns="urn:tiercare:referral"><code>{code}</code><text>{escape(text)}</text></{name}>'
    ids = _ids(envelope.root)
    return (
        f'<{name} ITSVersion="XML_1.0" xmlns="{V3}">'
        f'<id root="2.16.156.10011.2.5.1.1" extension={quoteattr(number)}/><creationTime value="{at}"/>'
        f'<interactionId root="2.16.156.10011.2.5.1.2" extension="{name}"/><processingCode code="P"/>'
        f'<processingModeCode/><acceptAckCode code="NE"/>'
        f'<receiver typeCode="RCV">{_device(ids["sender"])}</receiver>'
        f'<sender typeCode="SND">{_device(ids["receiver"])}</sender>'
        f'<acknowledgement typeCode="{code}"><targetMessage>{_id(ids["message"])}</targetMessage>'
        f"<acknowledgementDetail><text value={quoteattr(text)}/></acknowledgementDetail></acknowledgement></{name}>"
    )


def _ids(root: etree._Element) -> dict[str, tuple[str, str]]:
    """root and extension of the message, its sender and its receiver; ('', '') for what is not there."""
    found = {"message": ("", ""), "sender": ("", ""), "receiver": ("", "")}
    for child in elements(root):
        if local(child) == "id":
            found["message"] = _pair(child)
        elif local(child) in ("sender", "receiver"):
            for node in child.iter():
                if isinstance(node.tag, str) and node.get("extension"):
                    found[local(child)] = _pair(node)
                    break
    return found


def _pair(node: etree._Element) -> tuple[str, str]:
    return node.get("root", ""), node.get("extension", "")


def _id(pair: tuple[str, str]) -> str:
    return f"<id root={quoteattr(pair[0])} extension={quoteattr(pair[1])}/>"


def _device(pair: tuple[str, str]) -> str:
    item = f"<item root={quoteattr(pair[0])} extension={quoteattr(pair[1])}/>"
    return f'<device classCode="DEV" determinerCode="INSTANCE"><id>{item}</id></device>'


def enveloped(answer: str, envelope: Envelope) -> bytes:
    """The answer as its request came: bare; as a text in `payload`; or as elements."""
    head = '<?xml version="1.0" encoding="UTF-8"?>'
    if not envelope.soap:
        return f"{head}{answer}".encode()
    if local(envelope.root).endswith("Request") and not envelope.embedded:
        inner = answer
    else:
        payload = escape(answer) if envelope.embedded else answer
        inner = f'<{OPERATION}Response xmlns="{V3}"><payload>{payload}</payload></{OPERATION}Response>'
    return f'{head}<s:Envelope xmlns:s="{envelope.soap}"><s:Body>{inner}</s:Body></s:Envelope>'.encode()


def fault(text: str, soap: str, at_fault: bool = True) -> bytes:
    """A SOAP fault: the content was no message (`at_fault`: the sender is), so that nothing could be acknowledged."""
    head = '<?xml version="1.0" encoding="UTF-8"?>'
    if soap == SOAP_12:
        code = "s:Sender" if at_fault else "s:Receiver"
        inner = (
            f"<s:Fault><s:Code><s:Value>{code}</s:Value></s:Code>"
            f'<s:Reason><s:Text xml:lang="en">{escape(text)}</s:Text></s:Reason></s:Fault>'
        )
    else:
        code = "s:Client" if at_fault else "s:Server"
        inner = f"<s:Fault><faultcode>{code}</faultcode><faultstring>{escape(text)}</faultstring></s:Fault>"
    namespace = soap or SOAP_11
    return f'{head}<s:Envelope xmlns:s="{namespace}"><s:Body>{inner}</s:Body></s:Envelope>'.encode()


def wsdl(address: str) -> bytes:
    """WSDL 1.1 of the service at this address: one operation, two strings in, one string out, document/literal."""
    text = f"""<?xml version="1.0" encoding="UTF-8"?>
<wsdl:definitions name="HIPMessageService" targetNamespace="{V3}" xmlns:tns="{V3}"
    xmlns:wsdl="http://schemas.xmlsoap.org/wsdl/" xmlns:soap="http://schemas.xmlsoap.org/wsdl/soap/"
    xmlns:soap12="http://schemas.xmlsoap.org/wsdl/soap12/" xmlns:xs="http://www.w3.org/2001/XMLSchema">
  <wsdl:types><xs:schema targetNamespace="{V3}" elementFormDefault="qualified">
    <xs:element name="{OPERATION}"><xs:complexType><xs:sequence>
      <xs:element name="action" type="xs:string"/><xs:element name="message" type="xs:string"/>
    </xs:sequence></xs:complexType></xs:element>
    <xs:element name="{OPERATION}Response"><xs:complexType><xs:sequence>
      <xs:element name="payload" type="xs:string"/>
    </xs:sequence></xs:complexType></xs:element>
  </xs:schema></wsdl:types>
  <wsdl:message name="Request"><wsdl:part name="parameters" element="tns:{OPERATION}"/></wsdl:message>
  <wsdl:message name="Response"><wsdl:part name="parameters" element="tns:{OPERATION}Response"/></wsdl:message>
  <wsdl:portType name="HIPMessagePort"><wsdl:operation name="{OPERATION}">
    <wsdl:input message="tns:Request"/><wsdl:output message="tns:Response"/>
  </wsdl:operation></wsdl:portType>
  {_binding("soap", "Soap11")}
  {_binding("soap12", "Soap12")}
  <wsdl:service name="HIPMessageService">
    <wsdl:port name="Soap11" binding="tns:Soap11"><soap:address location={quoteattr(address)}/></wsdl:port>
    <wsdl:port name="Soap12" binding="tns:Soap12"><soap12:address location={quoteattr(address)}/></wsdl:port>
  </wsdl:service>
</wsdl:definitions>
"""
    return text.encode()


def _binding(prefix: str, name: str) -> str:
    return f"""<wsdl:binding name="{name}" type="tns:HIPMessagePort">
    <{prefix}:binding style="document" transport="http://schemas.xmlsoap.org/soap/http"/>
    <wsdl:operation name="{OPERATION}"><{prefix}:operation soapAction="{V3}:{OPERATION}"/>
      <wsdl:input><{prefix}:body use="literal"/></wsdl:input><wsdl:output><{prefix}:body use="literal"/></wsdl:output>
    </wsdl:operation></wsdl:binding>"""
