// Stands in for MathJax, which Voila loads for any text: there are no formulas here, and nothing is fetched from elsewhere.
window.MathJax = { Hub: { Config() {}, Configured() {}, Queue() {}, Register: { StartupHook() {} } }, Ajax: {} };
