module agentic-mesh/lab/crs

go 1.24

require (
	github.com/corazawaf/coraza-coreruleset/v4 v4.25.0
)
