"""IAM, STS and Organizations: corrections, and the evaluation of roles that services assume."""
