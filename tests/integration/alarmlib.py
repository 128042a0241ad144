"""What CloudWatch makes of an alarm and its metrics, by the rules that AWS documents:
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html and
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html

A series is a list of values, one a period, the newest last; None is a missing one."""
import operator
import re

COMPARE = {"GreaterThanThreshold": operator.gt, "GreaterThanOrEqualToThreshold": operator.ge, "LessThanThreshold": operator.lt,
           "LessThanOrEqualToThreshold": operator.le}
EXTRA = 2  # periods that are looked at beyond the N that count, when some are missing


def state(breaching, evaluations, datapoints, missing):
    """OK, ALARM, INSUFFICIENT_DATA, or None: it stays as it was. breaching: True, False or None, the newest last."""
    window = breaching[-(evaluations + EXTRA):]
    window = [None] * (evaluations + EXTRA - len(window)) + window
    real = [b for b in window if b is not None]
    if len(real) >= evaluations:
        real = real[-evaluations:]
    elif missing in ("breaching", "notBreaching"):
        real = real + [missing == "breaching"] * (evaluations - len(real))
    elif not real:
        return None if missing == "ignore" else "INSUFFICIENT_DATA"
    elif False not in real and next(age for age in range(len(window), 0, -1) if window[-age]) >= datapoints:
        return None if missing == "ignore" else "ALARM"  # it began long enough ago, and nothing speaks against it
    return "ALARM" if sum(real) >= datapoints else "OK"


# ---- metric math: what our alarms use of it ----

TOKEN = re.compile(r"\s*(\d+\.?\d*|[A-Za-z_]\w*|[()+*/,-])")


class Math:
    """A recursive descent parser that computes as it goes; a value is a number or a series."""

    def __init__(self, text, series, period_s):
        self.tokens, self.series, self.period_s = TOKEN.findall(text), series, period_s

    def take(self, *wanted):
        if self.tokens and self.tokens[0] in wanted:
            return self.tokens.pop(0)
        return None

    def need(self, wanted):
        if not self.take(wanted):
            raise ValueError(f"expected {wanted} before {self.tokens}")

    @staticmethod
    def apply(function, a, b):
        length = max(len(x) for x in (a, b, []) if isinstance(x, list)) if isinstance(a, list) or isinstance(b, list) else 0
        if not length:
            return function(a, b)

        def at(x, i):
            return x[i] if isinstance(x, list) else x

        def one(x, y):
            try:
                return None if x is None or y is None else function(x, y)
            except ZeroDivisionError:
                return None  # no data point
        return [one(at(a, i), at(b, i)) for i in range(length)]

    def sum(self):
        value = self.product()
        while sign := self.take("+", "-"):
            value = self.apply(operator.add if sign == "+" else operator.sub, value, self.product())
        return value

    def product(self):
        value = self.factor()
        while sign := self.take("*", "/"):
            value = self.apply(operator.mul if sign == "*" else operator.truediv, value, self.factor())
        return value

    def factor(self):
        if self.take("("):
            value = self.sum()
            self.need(")")
            return value
        token = self.tokens.pop(0)
        if self.take("("):
            arguments = [self.sum()]
            while self.take(","):
                arguments.append(self.sum())
            self.need(")")
            return self.call(token, *arguments)
        return float(token) if token[0].isdigit() else self.series[token]

    def call(self, name, series, *rest):
        if name == "PERIOD":
            return self.period_s
        if name == "FILL":
            return [rest[0] if v is None else v for v in series]
        if name == "DIFF":
            return [None] + [None if a is None or b is None else b - a for a, b in zip(series, series[1:])]
        raise ValueError(f"{name} is not known here")


def compute(text, series, period_s):
    math = Math(text, series, period_s)
    value = math.sum()
    if math.tokens:
        raise ValueError(f"left over: {math.tokens}")
    return value


def evaluate(alarm, series):
    """An alarm as describe-alarms tells it; series: a list for each metric's name."""
    if alarm.get("Metrics"):
        stats = {m["Id"]: m["MetricStat"] for m in alarm["Metrics"] if "MetricStat" in m}
        results = [m for m in alarm["Metrics"] if m.get("ReturnData", True)]
        assert len(results) == 1, "an alarm watches one expression"
        period_s = {s["Period"] for s in stats.values()}
        assert len(period_s) == 1, "one period"
        named = {i: series[s["Metric"]["MetricName"]] for i, s in stats.items()}
        values = compute(results[0]["Expression"], named, period_s.pop())
    else:
        values = series[alarm["MetricName"]]
    compare = COMPARE[alarm["ComparisonOperator"]]
    breaching = [None if v is None else compare(v, alarm["Threshold"]) for v in values]
    return state(breaching, alarm["EvaluationPeriods"], alarm.get("DatapointsToAlarm", alarm["EvaluationPeriods"]),
                 alarm.get("TreatMissingData", "missing"))


def matches(pattern, value):
    """Does EventBridge's pattern take it? Of a list one element has to fit the whole of what is said of it:
    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-event-patterns.html"""
    if isinstance(value, list):
        return any(matches(pattern, v) for v in value)
    if isinstance(pattern, dict):
        return isinstance(value, dict) and all(k in value and matches(p, value[k]) for k, p in pattern.items())
    return any(value not in rule["anything-but"] if isinstance(rule, dict) else value == rule for rule in pattern)
