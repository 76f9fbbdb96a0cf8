"""IAM, STS and Organizations: corrections, and policy evaluation for roles that services assume."""
