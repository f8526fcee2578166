/** Synthetic notes, written for this page. No person, place or event in them is real. */
export const samples = [
  {
    name: 'Oncology clinic letter',
    note: `Dx: invasive ductal carcinoma of the left breast, pT2 N1 M0, ER/PR positive, HER2 negative.

Reviewed after cycle 3 of docetaxel and cyclophosphamide. She reports fatigue, tingling of the fingertips and mild nausea, controlled with ondansetron. One episode of febrile neutropenia after cycle 2 (neutrophils 0.3 × 10⁹/L), treated with IV meropenem and filgrastim. No dyspnoea, no chest pain. Mother had ovarian cancer at 62; BRCA1 testing is awaited.

O/E: weight 64 kg, afebrile. Wound over the left axilla healed, no lymphoedema. Grade 1 peripheral neuropathy, sensation to pinprick reduced over both hands.

Bloods: Hb 10.4 g/dL, platelets 188, neutrophils 2.1, ALT 34 U/L, ferritin 22 µg/L. Echocardiography: LVEF 61 %. CT thorax, abdomen and pelvis: no metastases; a 4 mm nodule in the right lower lobe, probably benign.

Plan: reduce docetaxel by 20 % for neuropathy. Oral iron for iron-deficiency anaemia. Radiotherapy to chest wall and supraclavicular nodes after chemotherapy, then letrozole and zoledronic acid. Repeat CT chest in 3 months.
`,
  },
  {
    name: 'Discharge summary, de-identified',
    note: `Name: [**Known lastname 4821**]     Unit No: ___
Admission Date: [**2151-3-04**]     Discharge Date: [**2151-3-11**]
Attending: [**First Name8 (NamePattern2) **] ___

CHIEF COMPLAINT: fever, abdominal pain

BRIEF HOSPITAL COURSE
Mr. ___ is a 71M w/ COPD, CKD stage 3 (baseline Cr 1.8) and prostate cancer s/p radical prostatectomy who presented to [**Hospital1 18**] w/ RUQ pain, jaundice and rigors. Labs: WBC 19.4, total bilirubin 6.2, ALT 212, ALP 488, lactate 3.1. Abdominal ultrasound showed gallstones and a dilated common bile duct. He was given IV fluids and piperacillin-tazobactam for acute cholangitis. ERCP with sphincterotomy and stone extraction on [**3-05**]; purulent bile drained. Blood cultures grew pan-sensitive E. coli, narrowed to ceftriaxone.
Course c/b acute kidney injury (Cr peak 3.0), felt to be ATN, improved with fluids, and by a COPD exacerbation treated with nebulized albuterol and prednisone 40 mg x 5 d. Laparoscopic cholecystectomy deferred.

DISCHARGE MEDICATIONS
1. Ciprofloxacin 500 mg PO Q24H x 7 days
2. Tiotropium 18 mcg inhaled daily
3. Albuterol inhaler PRN wheezing
4. Acetaminophen 650 mg PO Q6H PRN pain

FOLLOW-UP
Dr. [**Last Name (STitle) 77**] in 2 weeks: repeat LFTs and creatinine. Return for fever, jaundice or abdominal pain.
`,
  },
  {
    name: 'Emergency admission',
    note: `HISTORY OF PRESENT ILLNESS
58F w/ h/o type 2 diabetes mellitus, HTN and GERD p/w 3 days of worsening dyspnea and pleuritic chest pain. Onset after a 9 h flight. Denies fever, cough or hemoptysis. L calf swelling noted yesterday. No prior DVT.

MEDS
Metformin 1000 mg BID, lisinopril 20 mg daily, omeprazole 20 mg PRN. Took ibuprofen 400 mg at home w/o relief.

EXAM
T 37.4 °C, HR 118, BP 104/62, RR 26, SpO2 89 % RA. Diaphoretic. Lungs clear. Tachycardic, no murmur. L calf 3 cm > R, tender.

DATA
ECG: sinus tachycardia, S1Q3T3. Troponin I 0.09 ng/mL, BNP 410 pg/mL, D-dimer 4.2 µg/mL, creatinine 1.1 mg/dL, lactate 2.3 mmol/L.
CXR: no consolidation. CT pulmonary angiogram: bilateral segmental pulmonary emboli with right ventricular dilatation. Doppler US: occlusive thrombus in the left popliteal vein.

A/P
1. Acute pulmonary embolism, intermediate-high risk. Heparin bolus 80 U/kg, then infusion; switch to apixaban when stable.
2. Acute hypoxemic respiratory failure: O2 4 L NC, target SpO2 > 92 %.
3. T2DM: hold metformin after contrast, insulin sliding scale.
4. HTN: hold lisinopril while hypotensive. Echocardiogram in the morning.
`,
  },
];
