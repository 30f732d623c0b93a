"""Documents of the WS/T editions, one a kind, as tables of sections and data elements. All persons are invented."""

from tests.feeds.cases.cda_builder import ICD, document, observation, section, st

TCM = 'codeSystem="2.16.156.10011.2.3.3.14"'


def pq(value: str, unit: str) -> str:
    return f'<value xsi:type="PQ" value="{value}" unit="{unit}"/>'


def cd(code: str, display: str, system: str = 'codeSystem="2.16.156.10011.2.3.1.1"') -> str:
    return f'<value xsi:type="CD" code="{code}" displayName="{display}" {system}/>'


def ts(value: str) -> str:
    return f'<value xsi:type="TS" value="{value}"/>'


def bl(value: str) -> str:
    return f'<value xsi:type="BL" value="{value}"/>'


def group(*parts: str) -> str:
    inner = "".join(f"<component>{part}</component>" for part in parts)
    return f"<organizer><statusCode/>{inner}</organizer>"


def diagnosis(code: str, name: str) -> str:
    return group(
        observation("DE05.01.025.00", st(name), "诊断名称"),
        observation("DE05.01.024.00", cd(code, name, ICD), "诊断代码"),
    )


def below(inner: str) -> str:
    return f"<entryRelationship>{inner}</entryRelationship>"


def drug(name: str, dose: str, unit: str, rate: str) -> str:
    spec = below(observation("DE08.50.043.00", st("5mg*28片"), "药物规格"))
    return f"""<substanceAdministration classCode="SBADM" moodCode="EVN">
      <routeCode code="1" displayName="口服" codeSystem="2.16.156.10011.2.3.1.158"/>
      <doseQuantity value="{dose}" unit="{unit}"/><rateQuantity value="{rate}" unit="次/日"/>
      <consumable><manufacturedProduct><manufacturedLabeledDrug><name>{name}</name></manufacturedLabeledDrug>
      </manufacturedProduct></consumable>{spec}</substanceAdministration>"""


def order(kind: str, label: str, content: str, state: str) -> str:
    who = """<author><time value="20240312083000"/><assignedAuthor><id root="2.16.156.10011.1.4" extension="30420"/>
      <assignedPerson><name>阮知夏</name></assignedPerson></assignedAuthor></author>"""
    time = '<effectiveTime><low value="20240312"/><high value="20240314"/></effectiveTime>'
    told = below(observation("DE06.00.290.00", st(state), "医嘱执行状态"))
    kinds = cd(kind, label, 'codeSystem="2.16.156.10011.2.3.1.268"')
    what = observation("DE06.00.288.00", st(content), "医嘱项目内容", time + who + told)
    return group(observation("DE06.00.289.00", kinds, "医嘱项目类型"), what)


def result(item: str, amount: str, unit: str, flag: str) -> str:
    specimen = below(observation("DE04.50.134.00", st("静脉血"), "标本类别"))
    unit_ = below(observation("DE04.30.016.00", st(unit), "计量单位"))
    number = f'<value xsi:type="REAL" value="{amount}"/>'
    return group(
        observation("DE04.30.019.00", st(item), "检验项目", specimen),
        observation("DE04.30.017.00", cd("1", flag), "检验结果"),
        observation("DE04.30.015.00", number, "检验定量结果", unit_),
    )


VITALS = section(
    "8716-3",
    observation("DE04.10.174.00", pq("146", "mmHg"), "收缩压"),
    observation("DE04.10.176.00", pq("92", "mmHg"), "舒张压"),
    observation("DE04.10.167.00", pq("168", "cm"), "身高"),
    observation("DE04.10.188.00", pq("71.5", "kg"), "体重"),
)
DIAGNOSES = section("29548-5", diagnosis("I10.x00", "高血压病"))
HISTORY = (
    section(
        "48765-2",
        observation(
            "DE02.10.023.00", bl("true"), "过敏史标志", below(observation("DE02.10.022.00", st("青霉素皮疹"), "过敏史"))
        ),
    ),
    section("10157-6", observation("DE02.10.103.00", st("父亲患2型糖尿病"), "家族史")),
    section("11348-0", observation("DE02.10.099.00", st("高血压病史6年"), "既往史")),
)
DRUGS = section("10160-0", drug("苯磺酸氨氯地平片", "5", "mg", "1"))
REFERRED = section(
    "18776-1",
    observation("DE06.00.174.00", bl("true"), "转诊标志"),
    observation("DE06.00.177.00", st("连续两次血压控制不满意"), "转诊原因"),
    observation("DE08.10.013.00", st("泉城区第一人民医院"), "转入医疗机构名称"),
    observation("DE08.10.026.00", st("心血管内科"), "转入科室名称"),
)
FOLLOW_UP = (
    section("X-ASSESS", observation("DE05.10.066.00", cd("2", "控制不满意"), "随访评价结果")),
    section("185389009", observation("DE06.00.109.00", ts("20240327"), "下次随访日期")),
)


def named(title: str, *entries: str) -> str:
    inner = "".join(f"<entry>{entry}</entry>" for entry in entries)
    return f'<section><code displayName="{title}"/><text/>{inner}</section>'


DOCUMENTS: dict[str, bytes] = {
    "C0001": document(*HISTORY, DIAGNOSES, code="C0001", title="病历概要"),
    "C0002": document(
        HISTORY[0],
        section("10154-3", observation("DE04.01.119.00", st("头晕3天"), "主诉")),
        DIAGNOSES,
        section("46209-3", order("01", "药品类医嘱", "缬沙坦胶囊80mg每日一次", "已执行")),
        code="C0002",
        title="门(急)诊病历",
    ),
    "C0004": document(DIAGNOSES, DRUGS, code="C0004", title="西药处方"),
    "C0005": document(
        DIAGNOSES, section("10160-0", drug("天麻钩藤颗粒", "10", "g", "3")), code="C0005", title="中药处方"
    ),
    "C0006": document(
        DIAGNOSES,
        named(
            "检查报告",
            observation("DE04.50.131.00", st("双肺纹理清晰，心影增大"), "检查报告结果-客观所见"),
            observation("DE04.50.132.00", st("心影增大，请结合临床"), "检查报告结果-主观提示"),
        ),
        code="C0006",
        title="检查报告",
    ),
    "C0007": document(
        section("30954-2", result("血清钾", "5.62", "mmol/L", "偏高"), result("血清钠", "141", "mmol/L", "正常")),
        named("检验报告", observation("DE04.50.130.00", st("血钾偏高，建议复查"), "检验报告结果")),
        code="C0007",
        title="检验报告",
    ),
    "C0025": document(
        section(
            "18776-5",
            observation("DE06.00.124.00", st("高血压的家庭自我管理"), "宣教内容"),
            observation("DE06.00.299.00", st("两周后心内科门诊复诊"), "复诊指导"),
            observation("DE06.00.136.00", st("氨氯地平每日一次晨服"), "用药指导"),
        ),
        code="C0025",
        title="出院评估与指导",
    ),
    "C0034": document(
        section("10154-3", observation("DE04.01.119.00", st("活动后胸闷1周"), "主诉")),
        *HISTORY,
        VITALS,
        section("46241-6", diagnosis("I20.000", "不稳定型心绞痛")),
        code="C0034",
        title="入院记录",
    ),
    "C0042": document(
        named(
            "转科记录",
            observation("DE06.00.314.00", cd("1", "转出记录"), "转科记录类型"),
            observation("DE08.10.026.00", st("心血管内科"), "转出科室名称"),
            observation("DE08.10.026.00", st("心脏外科"), "转入科室名称"),
        ),
        section("18776-5", observation("DE06.00.315.00", st("拟行冠状动脉旁路移植术"), "转科目的")),
        code="C0042",
        title="转科记录",
    ),
    "C0045": document(
        section("51848-0", observation("DE06.00.182.00", st("胸闷1周，肌钙蛋白正常"), "病历摘要")),
        section("18776-5", observation("DE06.00.214.00", st("明确下一步治疗"), "会诊目的")),
        named(
            "会诊原因",
            observation("DE06.0.319.00", cd("2", "院内会诊"), "会诊类型"),
            observation("DE06.0.039.00", st("血糖控制欠佳"), "会诊原因"),
        ),
        named("会诊意见", observation("DE06.00.018.00", st("改用基础胰岛素，监测空腹血糖"), "会诊意见")),
        code="C0045",
        title="会诊记录",
    ),
    "C0052": document(
        section(
            "46209-3",
            order("01", "药品类医嘱", "阿司匹林肠溶片100mg每日一次", "执行中"),
            order("02", "检查类医嘱", "心脏彩色多普勒超声", "已完成"),
            order("05", "护理类医嘱", "一级护理", "停止"),
        ),
        code="C0052",
        title="住院医嘱",
    ),
    "hypertension": document(VITALS, DRUGS, REFERRED, *FOLLOW_UP, code="HSDB04.01", title="高血压患者随访服务"),
    "diabetes": document(
        section("30954-2", observation("DE04.50.083.00", pq("7.9", "%"), "糖化血红蛋白")),
        DRUGS,
        *FOLLOW_UP,
        code="HSDB04.02",
        title="2型糖尿病患者随访服务",
    ),
    "health_check": document(VITALS, DIAGNOSES, code="HSDC00.01", title="成人健康体检"),
    "outpatient_summary": document(DIAGNOSES, DRUGS, *HISTORY, code="", title="门诊摘要"),
    "inpatient_summary": document(
        section("11535-2", diagnosis("I63.900", "脑梗死")),
        section("46209-3", observation("DE06.00.287.00", st("1、规律服药；2、康复锻炼"), "出院医嘱")),
        code="",
        title="住院摘要",
    ),
    "referral": document(DIAGNOSES, REFERRED, code="", title="转诊(院)记录"),
    "consultation": document(
        named("会诊意见", observation("DE06.00.018.00", st("继续当前降压方案"), "会诊意见")), code="", title="会诊记录"
    ),
    "other": document(
        VITALS,
        section("18776-5", observation("DE06.00.300.00", st("平肝潜阳"), "治则治法")),
        code="C0041",
        title="交接班记录",
    ),
}
