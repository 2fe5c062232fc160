package conformance

// libcareRows are LibCare's test cases.
var libcareRows []row
