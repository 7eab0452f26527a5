package s3

import "net/http"

// Permission is the right that a request needs, such as "GetObject", or for
// what only owners of buckets do, the request's own method and level.
func Permission(r *http.Request) string {
	req, err := parseRequest(r)
	if err != nil {
		return ""
	}
	name := req.name()
	if right, ok := map[string]string{
		"GET object": "GetObject", "HEAD object": "GetObject",
		"PUT object": "PutObject", "POST object?uploads": "PutObject", "PUT object?uploadId": "PutObject", "POST object?uploadId": "PutObject",
		"GET bucket": "ListBucket", "HEAD bucket": "ListBucket",
	}[name]; ok {
		return right
	}
	return name
}

// name says what is done to what: a key of the table of served requests.
func (r *request) name() string {
	name := r.Method + " " + r.level()
	if r.resource != "" {
		name += "?" + r.resource
	}
	return name
}
