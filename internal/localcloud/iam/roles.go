package iam

import "slices"

// NodeMay reports whether instances' roles allow an operation, by the service
// of its credential scope and its name; of S3, the name of the permission.
// Every role has the rights that a node's role is documented to need, since
// policies are not kept: none of them makes or changes anything that runs.
func NodeMay(service, operation string) bool {
	return slices.Contains(nodeRights()[service], operation)
}

func nodeRights() map[string][]string {
	return map[string][]string{
		"s3":          {"GetObject", "PutObject", "ListBucket"},
		"autoscaling": {"CompleteLifecycleAction", "RecordLifecycleActionHeartbeat"},
		"ssm":         {"GetParameter", "GetParameters", "GetParametersByPath"},
		"sts":         {"GetCallerIdentity"},
	}
}
