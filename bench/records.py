"""Synthetic data of tiered care, the same for the same seed: patients with a stay of 14 resources each, of ten types.

All names, numbers and texts are invented. Bodies have 1 to 3 kB, with a narrative and Chinese text.
"""

import random
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from typing import Any

Resource = dict[str, Any]
NS = "http://example.org/bench"
PATIENT_NO, REFERRAL_NO = f"{NS}/patient-no", f"{NS}/referral-no"
LOINC, SNOMED, ICD, ATC = (
    "http://loinc.org", "http://snomed.info/sct", "http://hl7.org/fhir/sid/icd-10", "http://www.whocc.no/atc",
)  # fmt: skip
HL7 = "http://terminology.hl7.org/CodeSystem"
ORGANIZATIONS, PRACTITIONERS = 40, 200

FAMILIES = "赵钱孙李周吴郑王冯陈褚卫蒋沈韩杨朱秦尤许"
GIVEN = "安邦川丹恩帆岗涵佳凯岚曼宁培琪然珊婷薇欣妍泽"
PLACES = ("云台镇", "清溪街道", "北岭乡", "临湖街道", "枫桥镇", "望江镇", "西塘乡", "金泉街道")
LEVELS = ("三级医院", "二级医院", "社区卫生服务中心", "乡镇卫生院")
CONDITIONS = (
    ("I10", "高血压"), ("E11.9", "2型糖尿病"), ("J44.9", "慢阻肺"), ("I25.1", "冠心病"), ("I63.9", "脑梗死"),
    ("N18.3", "慢性肾病"), ("M17.9", "膝关节炎"), ("J18.9", "肺炎"), ("K29.5", "慢性胃炎"), ("I50.9", "心衰"),
    ("F32.9", "抑郁"), ("M81.0", "骨质疏松"), ("H25.9", "白内障"), ("I48.9", "房颤"), ("D64.9", "贫血"),
    ("E78.5", "血脂异常"), ("G20", "帕金森病"), ("N40", "前列腺增生"),
)  # fmt: skip
MEASURES = (
    ("8480-6", "收缩压", "mm[Hg]", 90, 190), ("8462-4", "舒张压", "mm[Hg]", 50, 115),
    ("8867-4", "心率", "/min", 48, 125),
    ("4548-4", "糖化血红蛋白", "%", 5, 12), ("29463-7", "体重", "kg", 38, 115), ("2160-0", "肌酐", "umol/L", 40, 320),
    ("8310-5", "体温", "Cel", 35, 41), ("718-7", "血红蛋白", "g/L", 65, 175),
)  # fmt: skip
REFERRALS = (
    ("3457005", "转诊"), ("183561008", "转上级医院"), ("306206005", "转专科"), ("183516009", "转回社区"),
    ("308447003", "转内科"), ("183545006", "转心内科"),
)  # fmt: skip
STATUSES = ("active", "active", "active", "completed", "completed", "on-hold", "revoked")
DRUGS = (
    ("C09AA02", "依那普利"), ("A10BA02", "二甲双胍"), ("C10AA05", "阿托伐他汀"), ("B01AC06", "阿司匹林"),
    ("C08CA01", "氨氯地平"), ("C07AB02", "美托洛尔"),
)  # fmt: skip
TEXT = (
    "本次因血压波动、活动后气短来诊,既往慢性病多年,用药规律但控制不理想。经评估需上级医院进一步检查,"
    "待病情平稳后回社区随访,定期复查相关指标,如有不适随时就诊。以上内容为合成数据,不涉及任何真实个人。"
)


def _concept(system: str, code: str, text: str) -> Resource:
    return {"coding": [{"system": system, "code": code, "display": text}], "text": text}


def _text(words: str) -> Resource:
    return {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml"><p>{words}</p></div>'}


def _ref(target: str, display: str = "") -> Resource:
    return {"reference": target, **({"display": display} if display else {})}


def organization(n: int) -> Resource:
    place, level = PLACES[n % len(PLACES)], LEVELS[n % len(LEVELS)]
    return {
        "resourceType": "Organization", "text": _text(place + level),
        "identifier": [{"system": f"{NS}/org-no", "value": f"O{n:05d}"}], "active": True,
        "type": [_concept(f"{NS}/level", str(n % len(LEVELS)), level)], "name": f"{place}{level}{n}",
        "telecom": [{"system": "phone", "value": f"000-{n:08d}"}],
        "address": [{"text": f"{place}{n}号", "city": place}],
    }  # fmt: skip


def practitioner(n: int) -> Resource:
    name = FAMILIES[n % len(FAMILIES)]
    return {
        "resourceType": "Practitioner", "identifier": [{"system": f"{NS}/staff-no", "value": f"S{n:06d}"}],
        "active": True, "name": [{"family": name, "given": [GIVEN[n % len(GIVEN)]]}],
        "telecom": [{"system": "phone", "value": f"100{n:08d}"}], "gender": ("male", "female")[n % 2],
        "qualification": [{"code": _concept(f"{NS}/title", "ABC"[n % 3], "医师")}],
    }  # fmt: skip


class Stay:
    """One patient's stay. The same (seed, n) says the same. `mark` stands in identifiers: a number, or what will
    be replaced by one for each request."""

    def __init__(self, seed: str, n: int, organizations: Sequence[str], practitioners: Sequence[str], mark: str = ""):
        self.n, self.mark = n, mark or f"{n:08d}"
        self.random = random.Random(f"{seed}/{n}")
        pick = self.random.choice
        self.home, self.hospital = pick(organizations), pick(organizations)
        self.doctor, self.specialist = pick(practitioners), pick(practitioners)
        self.family, self.given, self.place = pick(FAMILIES), pick(GIVEN) + pick(GIVEN), pick(PLACES)
        self.name = self.family + self.given

    def _day(self) -> date:
        return date(2024, 1, 1) + timedelta(days=self.random.randrange(700))

    def _moment(self, day: date) -> str:
        r = self.random.randrange
        return f"{day}T{r(8, 18):02d}:{r(60):02d}:{r(60):02d}+08:00"

    def _head(self, type: str, system: str, letter: str, k: int, words: str) -> Resource:
        identifier = {"system": f"{NS}/{system}", "value": f"{letter}{self.mark}-{k}"}
        return {"resourceType": type, "text": _text(words), "identifier": [identifier]}

    def patient(self) -> Resource:
        r = self.random
        born = date(1932, 1, 1) + timedelta(days=r.randrange(26_000))
        return {
            **self._head("Patient", "patient-no", "P", 0, f"{self.name},{born}生,{self.place}"), "active": True,
            "name": [{"use": "official", "text": self.name, "family": self.family, "given": [self.given]}],
            "telecom": [{"system": "phone", "value": f"100{r.randrange(10**8):08d}", "use": "mobile"}],
            "gender": r.choice(("male", "female")), "birthDate": str(born),
            "address": [{
                "use": "home", "text": f"{self.place}和平路{r.randrange(900)}号",
                "line": [f"和平路{r.randrange(900)}号"],
                "city": "示例市", "district": self.place, "state": "示例省", "postalCode": f"{r.randrange(10**6):06d}",
                "country": "CN",
            }],
            "maritalStatus": _concept(f"{HL7}/v3-MaritalStatus", "M", "已婚"),
            "contact": [{
                "relationship": [_concept(f"{HL7}/v2-0131", "N", "亲属")], "name": {"text": r.choice(FAMILIES) + "某"},
                "telecom": [{"system": "phone", "value": f"100{r.randrange(10**8):08d}"}],
            }],
            "generalPractitioner": [_ref(self.doctor, "签约医生")], "managingOrganization": _ref(self.home),
        }  # fmt: skip

    def encounter(self, patient: str, _: str = "", k: int = 0) -> Resource:
        day = self._day()
        return {
            **self._head("Encounter", "visit-no", "V", k, TEXT[:50]), "status": "finished",
            "class": {"system": f"{HL7}/v3-ActCode", "code": self.random.choice(("AMB", "IMP")), "display": "就诊"},
            "type": [_concept(SNOMED, "185349003", "就诊")], "subject": _ref(patient, self.name),
            "participant": [{"individual": _ref(self.doctor)}],
            "period": {"start": self._moment(day), "end": self._moment(day + timedelta(self.random.randrange(1, 10)))},
            "reasonCode": [{"text": self.random.choice(CONDITIONS)[1]}], "serviceProvider": _ref(self.hospital),
        }  # fmt: skip

    def condition(self, patient: str, encounter: str, k: int = 0) -> Resource:
        code, words = self.random.choice(CONDITIONS)
        return {
            **self._head("Condition", "diagnosis-no", "D", k, words + "。" + TEXT[:70]),
            "clinicalStatus": _concept(f"{HL7}/condition-clinical", "active", "现患"),
            "verificationStatus": _concept(f"{HL7}/condition-ver-status", "confirmed", "确诊"),
            "category": [_concept(f"{HL7}/condition-category", "encounter-diagnosis", "诊断")],
            "code": _concept(ICD, code, words), "subject": _ref(patient, self.name), "encounter": _ref(encounter),
            "onsetDateTime": str(self._day()), "recordedDate": str(self._day()), "recorder": _ref(self.doctor),
            "note": [{"text": TEXT}],
        }  # fmt: skip

    def observation(self, patient: str, encounter: str, k: int = 0) -> Resource:
        code, words, unit, low, high = self.random.choice(MEASURES)
        value, when = self.random.randrange(low * 10, high * 10) / 10, self._moment(self._day())
        return {
            **self._head("Observation", "result-no", "R", k, f"{words} {value} {unit}"), "status": "final",
            "category": [
                _concept(f"{HL7}/observation-category", self.random.choice(("vital-signs", "laboratory")), "检查")
            ],
            "code": _concept(LOINC, code, words), "subject": _ref(patient, self.name), "encounter": _ref(encounter),
            "effectiveDateTime": when, "issued": when, "performer": [_ref(self.doctor)],
            "valueQuantity": {"value": value, "unit": unit, "system": "http://unitsofmeasure.org", "code": unit},
            "interpretation": [
                _concept(f"{HL7}/v3-ObservationInterpretation", self.random.choice("NHL"), "判断")
            ],
            "referenceRange": [{"low": {"value": low, "unit": unit}, "high": {"value": high, "unit": unit}}],
        }  # fmt: skip

    def medication(self, patient: str, encounter: str, k: int = 0) -> Resource:
        (code, words), day = self.random.choice(DRUGS), self._day()
        return {
            **self._head("MedicationStatement", "drug-no", "M", k, words), "status": "active",
            "medicationCodeableConcept": _concept(ATC, code, words), "subject": _ref(patient, self.name),
            "context": _ref(encounter), "effectivePeriod": {"start": str(day), "end": str(day + timedelta(90))},
            "dateAsserted": str(day), "informationSource": _ref(self.doctor),
            "dosage": [{
                "text": "每日一次,每次一片,饭后服",
                "timing": {"repeat": {"frequency": 1, "period": 1, "periodUnit": "d"}},
                "doseAndRate": [{"doseQuantity": {"value": 1, "unit": "片"}}],
            }],
            "note": [{"text": TEXT[:60]}],
        }  # fmt: skip

    def referral(self, patient: str, encounter: str, k: int = 0) -> Resource:
        (code, words), when = self.random.choice(REFERRALS), self._moment(self._day())
        return {
            **self._head("ServiceRequest", "referral-no", "Z", k, f"{self.name}{words}:{TEXT}"),
            "requisition": {"system": f"{NS}/requisition", "value": f"Q{self.mark}-{k}"},
            "status": self.random.choice(STATUSES),
            "intent": "order", "category": [_concept(SNOMED, "3457005", "双向转诊")],
            "priority": self.random.choice(("routine", "urgent")), "code": _concept(SNOMED, code, words),
            "subject": _ref(patient, self.name), "encounter": _ref(encounter), "occurrencePeriod": {"start": when},
            "authoredOn": when, "requester": _ref(self.doctor, "转出医生"),
            "performer": [_ref(self.hospital, "接收医院")],
            "reasonCode": [_concept(ICD, *self.random.choice(CONDITIONS))], "note": [{"time": when, "text": TEXT}],
            "patientInstruction": TEXT[-50:],
        }  # fmt: skip

    def plan(self, patient: str, encounter: str, k: int = 0) -> Resource:
        day = self._day()
        return {
            **self._head("CarePlan", "plan-no", "C", k, "随访计划。" + TEXT), "status": "active", "intent": "plan",
            "category": [_concept(SNOMED, "734163000", "随访计划")], "title": "慢病随访计划", "description": TEXT,
            "subject": _ref(patient, self.name), "encounter": _ref(encounter),
            "period": {"start": str(day), "end": str(day + timedelta(180))}, "created": str(day),
            "author": _ref(self.doctor),
            "activity": [
                {"detail": {"code": {"text": what}, "status": "scheduled", "description": TEXT[:50]}}
                for what in ("测血压", "测血糖", "康复")
            ],
        }  # fmt: skip

    def document(self, patient: str, encounter: str, sections: Sequence[tuple[str, str, Sequence[str]]]) -> Resource:
        return {
            "resourceType": "Composition", "text": _text("出院小结。" + TEXT),
            "identifier": {"system": f"{NS}/document-no", "value": f"W{self.mark}"}, "status": "final",
            "type": _concept(LOINC, "18842-5", "出院小结"), "subject": _ref(patient, self.name),
            "encounter": _ref(encounter), "date": self._moment(self._day()), "author": [_ref(self.specialist, "主治")],
            "title": f"{self.name}出院小结", "confidentiality": "N", "custodian": _ref(self.hospital),
            "section": [
                {
                    "title": title, "code": _concept(LOINC, code, title), "text": _text(TEXT),
                    "entry": [_ref(entry) for entry in entries],
                }
                for title, code, entries in sections
            ],
        }  # fmt: skip

    def record(self) -> list[tuple[str, Resource]]:
        """A new patient and a stay: 15 resources with their fullUrls."""
        patient = self._url(0)
        return [(patient, self.patient()), *self._stay(patient, 2, 5, 2, 2)]

    def discharge(self, patient: str) -> list[tuple[str, Resource]]:
        """A stay of a patient who is there: 15 resources with their fullUrls."""
        return self._stay(patient, 3, 5, 3, 1)

    def _url(self, k: int) -> str:
        return f"urn:uuid:{self.n % 2**32:08x}-0000-4000-8000-{k:012x}"

    def _stay(self, patient: str, *counts: int) -> list[tuple[str, Resource]]:
        """counts: of conditions, observations, medications, referrals."""
        encounter = self._url(1)
        entries: list[tuple[str, Resource]] = [(encounter, self.encounter(patient))]
        makers: tuple[tuple[Callable[[str, str, int], Resource], int, str, str], ...] = tuple(
            (make, count, title, code)
            for (make, title, code), count in zip(
                (
                    (self.condition, "诊断", "29548-5"),
                    (self.observation, "检查", "30954-2"),
                    (self.medication, "带药", "10183-2"),
                    (self.referral, "转诊", "18776-5"),
                ),
                counts,
                strict=True,
            )
        )
        sections = []
        for make, count, title, code in makers:
            urls = [self._url(len(entries) + 1 + k) for k in range(count)]
            entries += [(url, make(patient, encounter, k)) for k, url in enumerate(urls)]
            sections.append((title, code, urls))
        entries.append((self._url(len(entries) + 1), self.plan(patient, encounter)))
        entries.append((self._url(len(entries) + 1), self.document(patient, encounter, sections)))
        return entries


def transaction(entries: Sequence[tuple[str, Resource]]) -> Resource:
    return {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            {"fullUrl": url, "resource": resource, "request": {"method": "POST", "url": resource["resourceType"]}}
            for url, resource in entries
        ],
    }
