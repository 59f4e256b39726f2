"""Be an app: remember, search and explain over HTTP, with an API key.

You learn the calls that an app needs, how a purpose comes from its key, and how an error looks:
a problem document with a stable `code`.

    memory-fabric site serve --listen 127.0.0.1:8700 &
    memory-fabric app add notes --tenant acme --purpose care      # prints the key, once
    MEMORY_FABRIC_API_KEY=mf_... python examples/http_client.py http://127.0.0.1:8700
"""

import os
import sys

import httpx

PERSON = "Ida Norrgård"


def main(url: str) -> None:
    headers = {"Authorization": f"Bearer {os.environ['MEMORY_FABRIC_API_KEY']}"}
    with httpx.Client(base_url=url, headers=headers, timeout=30) as site:
        memory = {
            "memory": f"{PERSON} likes to be called before noon.",
            "subjects": [PERSON],
            "label": {"purposes": ["care"], "consent": "given"},
        }
        added = site.post("/v1/memories", json={"memories": [memory]}).raise_for_status().json()
        print("remembered", added["results"][0]["id"])

        # The key is bound to one purpose, so it need not be named.
        question = {"query": f"When may we call {PERSON}?", "subject": PERSON, "reach": "grid"}
        answer = site.post("/v1/search", json=question).raise_for_status().json()
        for item in answer["results"]:
            print(f"{item['score']:.2f} {item['site']} {item['form']}: {item['memory']}")

        # What is not said is never taken to mean everybody.
        refused = site.post("/v1/search", json={"query": "When may we call?"})
        print(refused.status_code, refused.json()["code"])

        receipt = site.get(f"/v1/receipts/{answer['receipt']}").raise_for_status().json()
        print("receipt", receipt["id"], receipt["act"], receipt["outcome"])


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8700")
