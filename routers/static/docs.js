// Draws the description of the HTTP interface. Nothing is asked of any other server.
SwaggerUIBundle({ url: "/openapi.json", dom_id: "#docs", deepLinking: true, validatorUrl: null });
