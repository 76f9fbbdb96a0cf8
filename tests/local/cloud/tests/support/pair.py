"""A scraper with its two roles."""

from conftest import SOURCE, TARGET, allow, allow_assume, policy
from support.location import Location

QUICK = {"local:activation-minutes": "0"}


class Pair:
    """An ACTIVE scraper with its two roles. Tests can change the policies of the roles."""

    def __init__(self, cloud, name, **cluster):
        self.location = location = Location(cloud, tags={**QUICK, **cluster.pop("tags", {})}, **cluster)
        self.source_role, self.target_role = name[-40:] + "-s", name[-40:] + "-t"
        self.source_iam, self.target_iam = cloud.client("iam", SOURCE), cloud.client("iam", TARGET)
        self.arns = {
            "sourceRoleArn": f"arn:aws:iam::{SOURCE}:role/{self.source_role}",
            "targetRoleArn": f"arn:aws:iam::{TARGET}:role/{self.target_role}",
        }
        placeholder = allow_assume({"Service": "ec2.amazonaws.com"})
        self.source_iam.create_role(RoleName=self.source_role, AssumeRolePolicyDocument=placeholder)
        self.allow_to_assume(self.arns["targetRoleArn"])
        self.target_iam.create_role(RoleName=self.target_role, AssumeRolePolicyDocument=placeholder)
        write = "arn:aws:iam::aws:policy/AmazonPrometheusRemoteWriteAccess"
        self.target_iam.attach_role_policy(RoleName=self.target_role, PolicyArn=write)
        scraper = location.amp.create_scraper(**location.request(roleConfiguration=self.arns))
        self.id, self.scraper = scraper["scraperId"], scraper["arn"]

    def allow_to_assume(self, role):
        document = policy(allow("sts:AssumeRole", role))
        self.source_iam.put_role_policy(RoleName=self.source_role, PolicyName="p", PolicyDocument=document)

    def trust_source(self, scraper=None, account=SOURCE):
        condition = {
            "ArnEquals": {"aws:SourceArn": scraper or self.scraper},
            "StringEquals": {"aws:SourceAccount": account},
        }
        trust = allow_assume({"Service": "scraper.aps.amazonaws.com"}, Condition=condition)
        self.source_iam.update_assume_role_policy(RoleName=self.source_role, PolicyDocument=trust)

    def trust_target(self, external_id=None):
        condition = {"StringEquals": {"sts:ExternalId": external_id or self.scraper}}
        trust = allow_assume({"AWS": self.arns["sourceRoleArn"]}, Condition=condition)
        self.target_iam.update_assume_role_policy(RoleName=self.target_role, PolicyDocument=trust)

    def attempt(self, cloud, **other):
        request = {**self.arns, "workspaceArn": self.location.workspace, "scraperArn": self.scraper, **other}
        result = cloud.post("attempt", request)
        failed = [step["step"] for step in result["steps"] if not step["ok"]]
        assert result["written"] == (not failed) and all(
            step.get("error") for step in result["steps"] if not step["ok"]
        )
        return failed[0] if failed else "written"

    def latest_collection(self, cloud):
        collections = cloud.get(f"collections/{self.id}")["collections"]
        return collections[-1] if collections else None
