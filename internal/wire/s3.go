package wire

import "net/http"

// WriteS3Error refuses an S3 request before it comes to S3. The answer to HEAD
// has no body.
func WriteS3Error(w http.ResponseWriter, r *http.Request, err error) {
	known, id := asError(err), RequestID()
	w.Header().Set("X-Amz-Request-Id", id)
	if r.Method == http.MethodHead {
		w.WriteHeader(known.status())
		return
	}
	x := &xmlWriter{}
	x.WriteString(xmlHeader)
	x.open("Error")
	x.text("Code", known.Code)
	x.text("Message", known.Message)
	x.text("RequestId", id)
	x.text("HostId", id)
	x.close("Error")
	write(w, known.status(), "application/xml", x.Bytes())
}

// WriteError refuses a request of any other protocol before it is served.
func WriteError(w http.ResponseWriter, p Protocol, err error) {
	p.WriteError(w, asError(err), RequestID())
}
