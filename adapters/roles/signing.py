"""A family doctor's contract -> Contract, CareTeam, EpisodeOfCare; a home bed -> EpisodeOfCare, CareTeam, Encounter."""

from adapters.kit.resource import Made, reference
from adapters.roles.case import Case, coded, several
from adapters.roles.fields import Field, source
from adapters.roles.people import name_of
from adapters.roles.visit import make_visit

# Contract.status -> EpisodeOfCare.status, CareTeam.status
_FOLLOWS = {
    "executed": ("active", "active"),
    "renewed": ("active", "active"),
    "terminated": ("finished", "inactive"),
    "offered": ("planned", "proposed"),
}


def make_contract(case: Case) -> None:
    """https://hl7.org/fhir/R4/contract.html; the state of signing decides the states of team and episode."""
    fields = case.fields
    status, flag = _status(case)
    contract = case.make("Contract", "contract")
    case.number(contract, "number", "contract")
    contract.put("status", status, *source(flag))
    period, first = _period(case)
    contract.put("issued", case.at, *source(case.at_field))
    stopped = case.fields.one("period.stopped")
    contract.put("applies", period, ", ".join(f.column for f in (first, stopped) if f), first.line if first else None)
    contract.put("title", "家庭医生签约服务协议")
    contract.add("subject", case.subject)
    if case.institution:
        contract.add("authority", case.institution, case.org.field)
    stop = fields.one("contract.stop")
    if stop:
        concept = coded(fields, stop)
        contract.put("expirationType", concept, *source(stop))
    for package in fields.all("contract.package"):
        for concept in several(fields, package):
            contract.add("subType", concept, *source(package))
    terms = fields.all("contract.term")  # signers too: Contract.signer wants an instant, which no source has
    text = "；".join(field.sentence for field in terms)
    if terms:
        columns = ", ".join(field.column for field in terms)
        contract.add("term", {"text": text, "offer": {"text": text}}, columns, terms[0].line)
    episode = _episode(case, _FOLLOWS[status][0], period, "家庭医生签约")
    for flag_field in fields.all("contract.people"):
        for concept in several(fields, flag_field):
            episode.add("type", concept, *source(flag_field))
    team = _team(case, _FOLLOWS[status][1], period, "家庭医生团队")
    episode.add("team", team.reference())
    for note in fields.all("note"):
        team.add("note", {"text": note.sentence}, *source(note))


def _status(case: Case) -> tuple[str, Field | None]:
    flag = case.fields.one("contract.status")
    row = case.fields.word(flag) if flag else None
    return (row[1] if row else "executed"), flag


def _period(case: Case) -> tuple[dict[str, str], Field | None]:
    start, first = case.fields.date_time("period.start")
    end, second = case.fields.date_time("period.end")
    stopped, third = case.fields.date_time("period.stopped")
    end = stopped or end
    return {key: value for key, value in (("start", start), ("end", end)) if value}, first or second or third


def _episode(case: Case, status: str, period: dict[str, str], title: str) -> Made:
    episode = case.make("EpisodeOfCare", "episode")
    case.number(episode, "number", "episode")
    episode.put("status", status, *source(case.fields.one("bed.state")))
    episode.add("type", {"text": title})
    episode.put("patient", case.subject)
    if case.institution:
        episode.put("managingOrganization", case.institution, case.org.field)
    if case.org.doctor:
        episode.put("careManager", case.org.doctor.reference(name_of(case.org.doctor)))
    episode.put(
        "period",
        period,
        ", ".join(f.column for role in ("period.start", "period.end", "period.stopped") for f in case.fields.all(role)),
    )
    return episode


def _team(case: Case, status: str, period: dict[str, str], title: str) -> Made:
    """The doctor, the nurse and others that the record names; their institution."""
    team = case.make("CareTeam", "team")
    team.put("status", status)
    name = case.fields.one("team.name")
    team.put("name", name.text if name else title, *source(name))
    team.put("subject", case.subject)
    team.put("period", period)
    for role, word in (("", "家庭医生"), ("nurse", "护士"), ("assistant", "助理")):
        made = case.people.doctor(role) if role else case.org.doctor
        if made:
            team.add(
                "participant",
                {"role": [{"text": word}], "member": made.reference(name_of(made))},
                case.fields.columns(f"{role}.name") if role else "",
            )
    if case.institution:
        team.add("managingOrganization", case.institution)
    return team


def make_home_bed(case: Case) -> None:
    """家庭病床: an episode of care at home, its Encounter of class HH, the diagnosis it is kept for."""
    encounter = make_visit(case, "HH")
    start, _ = case.fields.date_time("visit.start")
    end, _ = case.fields.date_time("visit.end")
    period = {key: value for key, value in (("start", start or case.at), ("end", end)) if value}
    state = case.fields.one("bed.state")
    row = case.fields.word(state) if state else None
    episode = _episode(case, row[1] if row else "active", period, "家庭病床")
    for field in case.fields.all("bed.type"):
        episode.add("type", coded(case.fields, field), *source(field))
    conditions = [item.key for item in case.mapped.items if item.resource["resourceType"] == "Condition"]
    for key in conditions:
        episode.add("diagnosis", {"condition": reference(key)})
    encounter.add("episodeOfCare", episode.reference())
    team = _team(case, "active" if not row or row[1] == "active" else "inactive", period, "家庭病床责任团队")
    episode.add("team", team.reference())
    plan_texts = case.fields.all("plan")
    if plan_texts:
        plan = case.make("CarePlan", "plan")
        plan.put("status", "active")
        plan.put("intent", "plan")
        plan.put("title", "收治指征和建床意见")
        plan.put("subject", case.subject)
        plan.put("encounter", encounter.reference())
        for text in plan_texts:
            plan.add("activity", {"detail": {"status": "not-started", "description": text.text}}, *source(text))
