"""Documents that moto does not have: the price list and EC2's quotas, in AWS's shape. In: calls. Out: answers.

The prices are examples; their shape is that of the price service (FormatVersion aws_v1).
"""

import json

from tests.clouds.aws_words import Call, refusal
from tests.clouds.proxy import Reply

JSON = {"Content-Type": "application/x-amz-json-1.1"}
PRICES = {
    "t3.micro": "0.0130000000",
    "t3.small": "0.0260000000",
    "m5.large": "0.1180000000",
    "m6g.large": "0.0940000000",
    "c5.xlarge": "0.1920000000",
    "g4dn.xlarge": "0.6470000000",
    "p4d.24xlarge": "45.0000000000",
}
PUBLISHED = "2026-11-02T18:37:40Z"
PAGE = 3
EC2_QUOTAS = {
    "L-1216C47A": ("Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances", 256.0),
    "L-DB2E81BA": ("Running On-Demand G and VT instances", 0.0),
}


def product(name: str, region: str) -> str:
    """One entry of the price list, as the service gives it: a text of JSON."""
    sku = f"SKU{abs(hash(name)) % 10**9:09d}"
    offer, rate = f"{sku}.JRTCKXETXF", f"{sku}.JRTCKXETXF.6YS6EN2CT7"
    attributes = {
        "servicecode": "AmazonEC2", "regionCode": region, "instanceType": name, "operatingSystem": "Linux",
        "tenancy": "Shared", "preInstalledSw": "NA", "capacitystatus": "Used", "marketoption": "OnDemand",
        "operation": "RunInstances", "usagetype": f"BoxUsage:{name}", "licenseModel": "No License required",
    }  # fmt: skip
    dimension = {
        "unit": "Hrs", "beginRange": "0", "endRange": "Inf", "appliesTo": [], "rateCode": rate,
        "description": f"${PRICES[name]} per On Demand Linux {name} Instance Hour",
        "pricePerUnit": {"USD": PRICES[name]},
    }  # fmt: skip
    term = {
        "priceDimensions": {rate: dimension}, "sku": sku, "effectiveDate": "2026-11-01T00:00:00Z",
        "offerTermCode": "JRTCKXETXF", "termAttributes": {},
    }  # fmt: skip
    document = {
        "product": {"productFamily": "Compute Instance", "attributes": attributes, "sku": sku},
        "serviceCode": "AmazonEC2", "terms": {"OnDemand": {offer: term}}, "version": "20261102183740",
        "publicationDate": PUBLISHED,
    }  # fmt: skip
    return json.dumps(document)


def price_page(call: Call) -> Reply:
    """One page of the products that fit the call's filters; small pages, so that more than one is asked for."""
    filters = call.document.get("Filters", [])
    assert isinstance(filters, list)
    wanted = {str(item["Field"]): str(item["Value"]) for item in filters}
    fitting = [
        text
        for name in PRICES
        for text in [product(name, wanted.get("regionCode", "us-east-1"))]
        if wanted.items() <= json.loads(text)["product"]["attributes"].items()
    ]
    start = int(str(call.document.get("NextToken", "0")))
    body: dict[str, object] = {"FormatVersion": "aws_v1", "PriceList": fitting[start : start + PAGE]}
    if start + PAGE < len(fitting):
        body["NextToken"] = str(start + PAGE)
    return Reply(200, json.dumps(body).encode(), JSON)


def quota(call: Call) -> Reply | None:
    """A quota of EC2; None for other services, which moto knows."""
    if call.document.get("ServiceCode") != "ec2":
        return None
    code = str(call.document.get("QuotaCode"))
    if code not in EC2_QUOTAS:
        return refusal(
            call, "NoSuchResourceException", "The request failed because the specified quota does not exist."
        )
    name, value = EC2_QUOTAS[code]
    document = {
        "ServiceCode": "ec2", "ServiceName": "Amazon Elastic Compute Cloud (Amazon EC2)", "QuotaCode": code,
        "QuotaName": name, "Value": value, "Unit": "None", "Adjustable": True, "GlobalQuota": False,
        "QuotaArn": f"arn:aws:servicequotas:{call.region}:123456789012:ec2/{code}",
    }  # fmt: skip
    return Reply(200, json.dumps({"Quota": document}).encode(), JSON)
